"""A prediction that was interrupted goes on, and ends with what one left alone would have."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import tiny_model
from pictures import grey, video

from mfdet.commands._run import command
from mfdet.commands.predict import check_overwriting, main
from mfdet.errors import InputError
from mfdet.runtime import Detector

ROOT = Path(__file__).parents[2]
JOURNAL = Path('predictions', 'predictions.jsonl')


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with model.onnx, ten images in ``in``, and what is predicted for them in ``alone``."""
    tiny_model.save_onnx(tmp_path / 'model.onnx')
    monkeypatch.chdir(tmp_path)
    for i in range(10):
        grey(f'in/{i}.png', 100 + 15 * i, (20 + i, 30))
    assert main(['model.onnx', 'in', '--out', 'alone']) == 0
    return tmp_path


def contents(out):
    return {path.relative_to(out): path.read_bytes() for path in Path(out).rglob('*') if path.is_file()}


def counted(monkeypatch, stop_after=None, error=KeyboardInterrupt):
    """Count the images that a model is run on; with ``stop_after`` it raises when it has been run on so many."""
    run, done = Detector.run, []

    def counting(self, images, sizes):
        if len(done) == stop_after:
            raise error
        done.extend(images)
        return run(self, images, sizes)

    monkeypatch.setattr(Detector, 'run', counting)
    return done


def interrupt(monkeypatch, *args, after=4, error=KeyboardInterrupt, code=130):
    with monkeypatch.context() as patch:
        counted(patch, after, error)
        assert main(['model.onnx', *args]) == code


@pytest.mark.parametrize('batch', ['1', '4'])
def test_ctrl_c_keeps_what_was_found_and_the_same_command_goes_on(monkeypatch, capsys, batch):
    interrupt(monkeypatch, 'in', '--batch', batch)
    says = f'interrupted: what was found in 4 images is kept in {JOURNAL}: the same command goes on\n'
    assert capsys.readouterr().err == says
    assert not Path('predictions', 'predictions.json').exists()
    done = counted(monkeypatch)
    assert main(['model.onnx', 'in', '--batch', batch]) == 0
    assert len(done) == 6
    assert capsys.readouterr().out.startswith('10 images, ')
    if batch == '1':
        assert contents('predictions') == contents('alone')
    else:  # in batches, images are padded, and scores differ in the last bit
        assert contents('predictions').keys() == contents('alone').keys()
        found = json.loads(Path('predictions', 'predictions.json').read_text())
        assert [image['file_name'] for image in found['images']] == [f'{i}.png' for i in range(10)]


def test_a_killed_run_goes_on(tmp_path):
    for i in range(10, 150):
        shutil.copy('in/0.png', f'in/{i}.png')
    line = [sys.executable, '-m', 'mfdet', 'predict', 'model.onnx', 'in', '--threads', '1']
    process = subprocess.Popen(line, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    end = time.monotonic() + 60
    while not (JOURNAL.exists() and JOURNAL.read_bytes().count(b'\n') > 5):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert JOURNAL.read_bytes().count(b'\n') < 150
    assert main(['model.onnx', 'in']) == 0
    assert main(['model.onnx', 'in', '--out', 'alone']) == 0
    assert contents('predictions') == contents('alone')


def test_each_image_is_in_the_file_at_once(monkeypatch):
    run, lines = Detector.run, []

    def reading(self, images, sizes):
        lines.append(JOURNAL.read_text().count('"key"'))
        return run(self, images, sizes)

    monkeypatch.setattr(Detector, 'run', reading)
    assert main(['model.onnx', 'in']) == 0
    assert lines == list(range(10))


def test_a_line_that_was_cut_off_spoils_no_other(monkeypatch):
    interrupt(monkeypatch, 'in')
    JOURNAL.write_bytes(JOURNAL.read_bytes()[:-20])
    interrupt(monkeypatch, 'in', after=3)
    done = counted(monkeypatch)
    assert main(['model.onnx', 'in']) == 0
    assert len(done) == 10 - 3 - 3
    assert contents('predictions') == contents('alone')


def test_pictures_that_were_lost_are_drawn_again(monkeypatch):
    interrupt(monkeypatch, 'in')
    Path('predictions', '1.png').unlink()
    done = counted(monkeypatch)
    assert main(['model.onnx', 'in']) == 0
    assert len(done) == 6  # the model is not run again for it
    assert contents('predictions') == contents('alone')


@pytest.mark.parametrize('batch', ['1', '4'])
def test_images_that_came_or_changed_are_predicted_anew(monkeypatch, batch):
    interrupt(monkeypatch, 'in')
    grey('in/2.png', 250, (33, 44))
    grey('in/00.png', 120, (21, 30))
    done = counted(monkeypatch)
    assert main(['model.onnx', 'in', '--batch', batch]) == 0
    assert len(done) == 8
    assert main(['model.onnx', 'in', '--out', 'new']) == 0
    found, new = (json.loads(Path(out, 'predictions.json').read_text()) for out in ('predictions', 'new'))
    assert found['images'] == new['images']
    assert batch != '1' or contents('predictions') == contents('new')


def other_model():
    tiny_model.save_onnx(Path('model.onnx'), label=0)


def other_inputs():
    os.remove('in/1.png')


def thresholds():
    Path('thresholds.json').write_text('{"classes": {"cat": 0.3, "dog": 0.3}}')


@pytest.mark.parametrize(
    ('change', 'args', 'says'),
    [
        (other_model, [], 'with another MODEL; finish that one by its own command, name another --out, or remove'),
        (other_inputs, [], 'on 1.png too; finish'),
        (None, ['--score-thr', '0.5'], 'with another --score-thr; finish'),
        (thresholds, ['--thresholds', 'thresholds.json'], 'with another --thresholds; finish'),
    ],
)
def test_runs_are_never_mixed(monkeypatch, capsys, change, args, says):
    interrupt(monkeypatch, 'in')
    before = contents('predictions')
    if change:
        change()
    assert main(['model.onnx', 'in', *args]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f'error: {JOURNAL} is of an interrupted run {says}' in error
    assert contents('predictions') == before
    JOURNAL.unlink()
    for path in Path('predictions').iterdir():
        path.unlink()
    assert main(['model.onnx', 'in', *args]) == 0


def test_nor_are_precisions(monkeypatch, capsys):
    interrupt(monkeypatch, 'in')
    monkeypatch.setattr('mfdet.detector.load_detector', lambda path, *options: Detector(path))
    assert main(['model.onnx', 'in', '--precision', 'bf16']) == 2
    assert 'is of an interrupted run with another --precision; finish' in capsys.readouterr().err


def test_a_run_that_found_nothing_yet_binds_to_nothing(monkeypatch, capsys):
    interrupt(monkeypatch, 'in', after=0)
    assert capsys.readouterr().err == 'interrupted\n'
    assert not JOURNAL.exists()
    JOURNAL.write_text('{"mfdet": "0.0", "--score-thr": 0.9}\n')  # a kill before the first image
    assert main(['model.onnx', 'in']) == 0
    assert contents('predictions') == contents('alone')


@pytest.mark.parametrize('content', [b'', b'\xff\n', b'[]\n', b'{"x": 1}\n'])
def test_a_foreign_file_in_its_place_is_refused(capsys, content):
    JOURNAL.parent.mkdir()
    JOURNAL.write_bytes(content)
    assert main(['model.onnx', 'in']) == 2
    assert f'{JOURNAL}: is no file of an interrupted prediction; remove it' in capsys.readouterr().err
    assert JOURNAL.read_bytes() == content


def test_a_video_goes_on_without_running_the_model_twice(monkeypatch):
    clip = video('clip.avi', range(100, 250, 15), fourcc='MJPG')
    assert main(['model.onnx', clip, '--out', 'video']) == 0
    interrupt(monkeypatch, clip)
    assert list(contents('predictions')) == [Path(JOURNAL.name)]
    done = counted(monkeypatch)
    assert main(['model.onnx', clip]) == 0
    assert len(done) == 6
    assert contents('predictions')[Path('predictions.json')] == contents('video')[Path('predictions.json')]
    frames = [cv2.VideoCapture(f'{out}/clip.mp4') for out in ('predictions', 'video')]
    for _ in range(10):
        first, second = (capture.read()[1] for capture in frames)
        assert (first == second).all()


def test_a_folder_of_images_that_goes_away_and_comes_back(monkeypatch, capsys):
    run, done = Detector.run, []

    def leaving(self, images, sizes):
        done.append(1)
        if len(done) == 3:
            os.rename('in', 'away')
        return run(self, images, sizes)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, 'run', leaving)
        assert main(['model.onnx', 'in']) == 2
    kept = f'what was found in 3 images is kept in {JOURNAL}: the same command goes on'
    assert capsys.readouterr().err == f'error: in: this folder is no longer there; {kept}\n'
    os.rename('away', 'in')
    assert main(['model.onnx', 'in']) == 0
    assert contents('predictions') == contents('alone')


def test_many_results_are_checked_in_no_time():
    names = [Path('out', f'{i}.png') for i in range(20000)]
    start = time.perf_counter()
    check_overwriting([], names, Path('out'))
    with pytest.raises(InputError, match=r'two inputs would both be drawn as out/7\.png'):
        check_overwriting([], [*names, names[7]], Path('out'))
    assert time.perf_counter() - start < 5  # comparing each with each takes twenty


def test_ctrl_c_says_more_only_if_there_is_more(capsys):
    @command
    def stop(argv):
        raise KeyboardInterrupt(*argv)

    assert stop([]) == stop(['the rest']) == 130
    assert capsys.readouterr().err == 'interrupted\ninterrupted: the rest\n'
