import io
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_model
from pictures import grey, video

from mfdet.commands.predict import main
from mfdet.runtime import Detector
from mfdet.visualization import class_color

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory with model.onnx, see tiny_model.py for what it finds."""
    tiny_model.save_onnx(tmp_path / 'model.onnx')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*args):
    return main(['model.onnx', *map(str, args)])


def results(out='predictions'):
    return json.loads(Path(out, 'predictions.json').read_text())


def files(out='predictions'):
    return sorted(path.relative_to(out).as_posix() for path in Path(out).rglob('*') if path.is_file())


def test_one_image(capsys):
    assert predict(grey('image.png'), '--threads', 1) == 0
    output = capsys.readouterr()
    assert re.fullmatch(r'1 images, 2 detections, \d+\.\d images/s, 0 could not be read; predictions\n', output.out)
    assert output.err == ''
    assert files() == ['image.png', 'predictions.json']
    content = results()
    assert content['images'] == [dict(id=1, file_name='image.png', width=60, height=40)]
    assert content['categories'] == [dict(id=1, name='cat'), dict(id=2, name='dog')]
    whole, quarter = content['annotations']
    assert whole.pop('score') == pytest.approx(0.8, abs=1e-4)
    assert whole == dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 60, 40], area=2400, iscrowd=0)
    assert quarter.pop('score') == pytest.approx(0.4, abs=1e-4)
    assert quarter == dict(id=2, image_id=1, category_id=2, bbox=[0, 0, 30, 20], area=600, iscrowd=0)


def test_boxes_class_and_score_are_drawn():
    assert predict(grey('image.png', 204, (400, 600))) == 0
    picture = cv2.imread('predictions/image.png')
    assert picture.shape == (400, 600, 3)
    assert picture[200, 100:298].tolist() == [list(class_color(1))] * 198  # lower side of the quarter
    assert (picture[100:398, 0] == class_color(0)).all()  # left side of the whole image
    assert picture[300, 500].tolist() == [204, 204, 204]
    label = picture[:30, :60]
    assert (label == class_color(0)).all(-1).any() or (label == class_color(1)).all(-1).any()
    assert predict('image.png', '--score-thr', 0.5) == 0
    assert (cv2.imread('predictions/image.png')[200, 100:298] == 204).all()  # the quarter has a score of 0.4
    assert [annotation['category_id'] for annotation in results()['annotations']] == [1]


def test_each_class_has_its_threshold(capsys):
    Path('thresholds.json').write_text('{"overall": 0.5, "classes": {"cat": 0.81, "dog": 0.39}}')
    assert predict(grey('image.png'), '--thresholds', 'thresholds.json') == 0
    assert [annotation['category_id'] for annotation in results()['annotations']] == [2]  # scores 0.8 and 0.4
    Path('thresholds.json').write_text('{"overall": 0.5, "classes": {"cat": 0.5}}')
    assert predict('image.png', '--thresholds', 'thresholds.json', '--out', 'other') == 2
    said = 'error: thresholds.json: has no threshold for dog; the classes of the model are cat, dog\n'
    assert capsys.readouterr().err == said
    assert not Path('other').exists()
    with pytest.raises(SystemExit):
        predict('image.png', '--thresholds', 'thresholds.json', '--score-thr', '0.5')
    assert 'not allowed with' in capsys.readouterr().err


def test_batches_of_different_sizes_give_what_single_images_give():
    sizes = [(40, 60), (60, 40), (7, 5), (33, 200), (1, 9)]
    for i, size in enumerate(sizes):
        grey(f'in/{i}.png', 100 + 30 * i, size)
    assert predict('in', '--out', 'one') == 0
    assert predict('in', '--out', 'two', '--batch', 2) == 0
    one, two = results('one'), results('two')
    assert [(image['id'], image['height'], image['width']) for image in one['images']] == [
        (i, *size) for i, size in enumerate(sizes, 1)
    ]
    assert one['images'] == two['images']
    assert len(one['annotations']) == len(two['annotations']) == 8  # two quarters are below 0.3
    assert [annotation['id'] for annotation in two['annotations']] == list(range(1, 9))
    for first, second in zip(one['annotations'], two['annotations'], strict=True):
        assert first['image_id'] == second['image_id']
        assert first['bbox'] == pytest.approx(second['bbox'], abs=1e-3)
        assert first['score'] == pytest.approx(second['score'], abs=1e-5)


def test_odd_kinds_of_images():
    os.mkdir('in')
    rng = np.random.default_rng(0)
    kinds = {
        'alpha.png': rng.integers(0, 256, (30, 40, 4), np.uint8),
        'deep.tiff': rng.integers(0, 65536, (30, 40, 3), np.uint16),
        'grey.jpg': rng.integers(0, 256, (30, 40), np.uint8),
        'UPPER.JPG': rng.integers(0, 256, (30, 40, 3), np.uint8),
        'web.webp': rng.integers(0, 256, (30, 40, 3), np.uint8),
        'Ställe 画像.bmp': rng.integers(0, 256, (30, 40, 3), np.uint8),
    }
    for name, image in kinds.items():
        cv2.imwrite(f'in/{name}', image)
    os.link('in/grey.jpg', 'noname')
    Path('in', 'notes.txt').write_text('no image, and not taken for one')
    assert predict('in', '--score-thr', 0) == 0
    assert files() == sorted([*kinds, 'predictions.json'])
    for name in kinds:
        assert cv2.imread(f'predictions/{name}').dtype == np.uint8
    assert predict('noname', '--out', 'other') == 0
    assert files('other') == ['noname.png', 'predictions.json']


def test_equal_names_in_folders_stay_apart(capsys):
    for name in ('x.png', 'sub/x.png', 'sub/deep/x.png', 'a.png'):
        grey(f'photos/{name}')
    grey('more/x.png')
    assert predict('photos') == 0
    assert files() == ['a.png', 'predictions.json', 'sub/deep/x.png', 'sub/x.png', 'x.png']
    assert [image['file_name'] for image in results()['images']] == ['a.png', 'sub/deep/x.png', 'sub/x.png', 'x.png']
    assert predict('photos', 'more', 'photos/x.png', '--out', 'both') == 0
    assert files('both')[0] == 'more/x.png'
    assert [image['file_name'] for image in results('both')['images']] == [
        *('photos/a.png', 'photos/sub/deep/x.png', 'photos/sub/x.png', 'photos/x.png', 'more/x.png')
    ]
    assert '5 images, ' in capsys.readouterr().out  # photos/x.png is named twice and counts once


def test_globs_that_no_shell_expanded():
    for name in ('1/a.png', '2/a.png', '2/b.jpg', 'c.png', 'odd[1].png'):
        grey(f'in/{name}')
    assert predict('in/*/*.png') == 0
    assert files() == ['1/a.png', '2/a.png', 'predictions.json']
    assert predict('in/**/*.png', 'in/c.*', '--out', 'all') == 0
    assert files('all') == ['1/a.png', '2/a.png', 'c.png', 'odd[1].png', 'predictions.json']
    assert predict('in/?', '--out', 'folders') == 0
    assert files('folders') == ['1/a.png', '2/a.png', '2/b.jpg', 'predictions.json']
    assert predict('in/odd[1].png', '--out', 'odd') == 0  # a file of that very name
    assert files('odd') == ['odd[1].png', 'predictions.json']


def test_results_are_not_taken_as_inputs():
    grey('a.png')
    for _ in range(2):
        assert predict('.') == 0
        assert files() == ['a.png', 'predictions.json']
    assert predict('*', '--score-thr', 1) == 1  # model.onnx is no image
    assert files() == ['a.png', 'predictions.json']


@pytest.mark.parametrize(
    ('args', 'source'),
    [(['in', '--out', 'in'], 'in/a.png'), (['in/a.png', '--out', './in'], 'in/a.png'), (['clip.mp4'], 'clip.mp4')],
)
def test_inputs_are_never_overwritten(args, source, capsys):
    grey('in/a.png')
    video('clip.mp4')
    before = Path(source).read_bytes()
    assert predict(*args, *([] if '--out' in args else ['--out', '.'])) == 2
    assert f'the results would overwrite {source}; name another folder' in capsys.readouterr().err
    assert Path(source).read_bytes() == before
    assert not Path('in', 'predictions.json').exists()


def test_unreadable_files_are_named_and_the_rest_goes_on(capfd):
    grey('in/a.png')
    Path('in', 'b.png').write_text('no image')
    Path('in', 'c.jpg').touch()
    grey('in/d.png')
    assert predict('in', 'none.png', '--batch', 3) == 1
    output = capfd.readouterr()
    errors = [line for line in output.err.splitlines() if line.startswith('error: ')]
    assert errors == [
        'error: none.png: no such file or folder',
        'error: in/b.png: is damaged or not an image that OpenCV can read; JPEG, PNG, BMP, TIFF and WebP are',
        'error: in/c.jpg: is an empty file, not an image',
    ]
    assert re.fullmatch(r'2 images, 4 detections, .* images/s, 3 could not be read; predictions\n', output.out)
    assert files() == ['a.png', 'd.png', 'predictions.json']
    assert [image['id'] for image in results()['images']] == [1, 2]


def test_a_picture_that_cannot_be_written_is_named(capsys, monkeypatch):
    grey('in/a.png')
    grey('in/b.png')
    encode = cv2.imencode
    calls = iter([(False, None)])
    monkeypatch.setattr(cv2, 'imencode', lambda *args: next(calls, None) or encode(*args))
    assert predict('in') == 1
    says = 'error: predictions/a.png: a picture of 480×320 pixels cannot be written in this format\n'
    assert capsys.readouterr().err == says
    assert files() == ['b.png', 'predictions.json']
    assert [annotation['image_id'] for annotation in results()['annotations']] == [1, 1, 2, 2]


def test_video(capsys):
    clip = video('clip.avi', fourcc='MJPG')
    assert predict(clip, '--batch', 2) == 0
    assert capsys.readouterr().out.startswith('5 images, 6 detections, ')
    assert files() == ['clip.mp4', 'predictions.json']
    content = results()
    assert content['images'] == [dict(id=i, file_name='clip.avi', width=320, height=240) for i in range(5)]
    scores = [
        [annotation['score'] for annotation in content['annotations'] if annotation['image_id'] == i] for i in range(5)
    ]
    assert [len(found) for found in scores] == [0, 1, 1, 2, 2]
    assert [found[0] for found in scores[1:]] == pytest.approx(
        [value / 255 for value in (100, 150, 200, 250)], abs=0.02
    )
    annotated = cv2.VideoCapture('predictions/clip.mp4')
    assert annotated.get(cv2.CAP_PROP_FPS) == 10
    frames = []
    while (read := annotated.read())[0]:
        frames.append(read[1].astype(int))
    assert [frame.shape for frame in frames] == [(480, 640, 3)] * 5  # small frames are enlarged
    assert np.ptp(frames[0]) < 20  # nothing was found
    blue, green, red = frames[3][240, 100:300].mean(0)  # lower side of the quarter
    assert np.abs(np.subtract((blue, green, red), class_color(1))).max() < 60
    assert np.abs(frames[3][400, 500] - 200).max() < 10


def test_a_video_that_is_cut_short_is_reported(capfd):
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter('clip.avi', cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip('this build of OpenCV cannot write videos')
    for _ in range(20):
        writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    data = Path('clip.avi').read_bytes()
    Path('clip.avi').write_bytes(data[: len(data) // 2])
    assert predict('clip.avi') == 1
    output = capfd.readouterr()
    assert re.search(r'^error: clip.avi: can be read up to frame \d+ of about 20 only', output.err, re.M)
    assert 1 <= len(results()['images']) < 18
    assert '1 could not be read' in output.out


def test_a_failure_leaves_no_half_video_and_what_was_found(capsys, monkeypatch):
    clip = video('clip.avi', fourcc='MJPG')
    run, left = Detector.run, iter([1, 2])

    def fail(self, images, sizes):
        if next(left, None) is None:
            from mfdet.errors import InputError

            raise InputError('model.onnx: fails')
        return run(self, images, sizes)

    monkeypatch.setattr(Detector, 'run', fail)
    assert predict(clip) == 2
    kept = 'what was found in 2 images is kept in predictions/predictions.jsonl: the same command goes on'
    assert capsys.readouterr().err == f'error: model.onnx: fails; {kept}\n'
    assert files() == ['predictions.jsonl']


def test_a_video_that_cannot_be_written(capsys, monkeypatch):
    clip = video('clip.avi', fourcc='MJPG')

    class Writer:
        def isOpened(self):
            return False

        def open(self, *args):
            return False

        def release(self):
            pass

    monkeypatch.setattr(cv2, 'VideoWriter', Writer)
    assert predict(clip) == 2
    says = 'error: predictions/clip.mp4: OpenCV cannot write a video of 640×480 pixels, 10 frames/s; '
    assert capsys.readouterr().err.startswith(says)
    assert files() == ['predictions.jsonl']


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['none.onnx', 'a.png'], 'none.onnx: no such model file'),
        (['none.pth', 'a.png'], 'none.pth: no such checkpoint file'),
        (['a.png', 'a.png'], 'a.png: a detector ends in .onnx, .xml'),
        (['broken.onnx', 'a.png'], 'broken.onnx: is no model that onnxruntime can load'),
        (['model.onnx', 'none.png'], 'none.png: no such file or folder'),
        (['model.onnx', 'none*.png', 'no/*'], 'none*.png: no such file or folder; no/*: no such file or folder'),
        (['model.onnx', 'empty'], 'empty: holds no images, files that end in .bmp, .jpeg,'),
        (['model.onnx', 'broken.png'], 'no image could be read'),
        (['model.onnx', 'broken.mp4'], 'broken.mp4: is damaged or not a video that OpenCV can read'),
        (['model.onnx', 'a.png', 'broken.mp4'], 'broken.mp4: a video must be the only INPUT'),
        (['model.onnx', 'a.png', '--score-thr', '30'], '--score-thr must be from 0 to 1, got 30.0'),
        (['model.onnx', 'a.png', '--score-thr', 'nan'], '--score-thr must be from 0 to 1, got nan'),
        (['model.onnx', 'a.png', '--batch', '0'], '--batch must be at least 1, got 0'),
        (['model.onnx', 'a.png', '--threads', '0'], '--threads must be at least 1, got 0'),
        (['model.onnx', 'a.png', '--device', 'cuda'], 'model.onnx runs on the CPU'),
        (['model.onnx', 'a.png', '--config', 'a.py'], 'a config is for checkpoints'),
        (['model.onnx', 'a.png', '--out', 'a.png'], '--out a.png cannot be written: File exists; name another folder'),
        (['model.onnx', 'a.png', '--out', 'a.png/b'], '--out a.png/b cannot be written: Not a directory'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(args, says, capsys):
    grey('a.png')
    os.mkdir('empty')
    for name in ('broken.onnx', 'broken.png', 'broken.mp4'):
        Path(name).write_text('broken')
    assert main(args) == 2
    output = capsys.readouterr()
    last = output.err.splitlines()[-1]
    assert last.startswith('error: ')
    assert says in last
    assert output.out == ''
    assert not Path('predictions', 'predictions.json').exists()


def test_a_folder_that_cannot_be_written(capsys, monkeypatch):
    grey('a.png')

    def refuse(**options):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr('tempfile.TemporaryFile', refuse)  # root, as which tests may run, can write everywhere
    assert predict('a.png') == 2
    says = 'error: --out predictions cannot be written: Permission denied; name another folder\n'
    assert capsys.readouterr().err == says


def test_checkpoints_go_to_load_detector(monkeypatch, capsys):
    calls = []

    def load_detector(*args):
        calls.append(args)
        return Detector('model.onnx')

    monkeypatch.setitem(sys.modules, 'mfdet.detector', types.SimpleNamespace(load_detector=load_detector))
    args = ['run.pth', grey('a.png'), '--config', 'c.py', '--device', 'cuda:1', '--threads', '2']
    assert main(args) == 0
    assert calls == [('run.pth', 'c.py', 'cuda:1', 2, 'fp32')]
    assert len(results()['annotations']) == 2


def test_checkpoints_without_torch_say_what_to_install(monkeypatch, capsys):
    Path('run.pth').touch()
    monkeypatch.setitem(sys.modules, 'torch', None)
    assert main(['run.pth', grey('a.png')]) == 2
    error = 'error: torch cannot be found; install what this needs: pip install "mfdet[train]"\n'
    assert capsys.readouterr().err == error


def test_progress_only_on_a_terminal(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for i in range(4):
        grey(f'in/{i}.png')
    Path('in', '1.png').write_text('broken')
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stderr', terminal)
    assert predict('in') == 1
    written = terminal.getvalue()
    lines = re.findall(r'\[(#*) *\] (\d)/(\d), \d+\.\d images/s', written)
    assert lines == [('#' * 5, '1', '4'), ('#' * 15, '3', '4'), ('#' * 20, '4', '4')]
    assert '\r\033[Kerror: in/1.png: is damaged' in written
    assert written.endswith('\r\033[K')  # the line is gone
    assert written.count('\n') == 1
    assert capsys.readouterr().out.count('\n') == 1


def test_script_imports_nothing_of_torch():
    grey('a.png')
    code = (
        'import runpy, sys\n'
        'try:\n'
        f'    runpy.run_path({str(ROOT / "tools" / "predict.py")!r}, run_name="__main__")\n'
        'except SystemExit as end:\n'
        '    heavy = {"torch", "mmdet", "mmengine", "mmcv", "scipy", "matplotlib"} & set(sys.modules)\n'
        '    assert not heavy, heavy\n'
        '    assert "onnxruntime" in sys.modules\n'
        '    raise\n'
    )
    args = ['model.onnx', 'a.png', '--threads', '1']
    done = subprocess.run([sys.executable, '-c', code, *args], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('1 images, 2 detections, ')
    assert len(results()['annotations']) == 2


@pytest.mark.parametrize('locale', [dict(PYTHONIOENCODING='ascii'), dict(LC_ALL='C', PYTHONCOERCECLOCALE='0')], ids=str)
@pytest.mark.parametrize('source', ['image', 'video'])
def test_names_that_the_locale_lacks(locale, source):
    path = grey('ä.png') if source == 'image' else video('é.mp4')
    args = [sys.executable, ROOT / 'tools' / 'predict.py', 'model.onnx', path, '--out', 'oé', '--threads', '1']
    environment = {**os.environ, 'PYTHONUTF8': '0', **locale}
    done = subprocess.run(args, capture_output=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, b'')
    assert b'could not be read; o\\' in done.stdout
    assert files('oé') == sorted([path, 'predictions.json'])


def test_openvino():
    tiny_model.save_openvino(Path('model.xml'))
    assert main(['model.xml', grey('a.png'), '--threads', '1']) == 0
    assert len(results()['annotations']) == 2


def test_files_of_another_origin_are_never_overwritten(capsys):
    Path('photos/sub').mkdir(parents=True)
    for path in ('photos/a.png', 'photos/sub/a.png'):
        cv2.imwrite(path, np.full((20, 20, 3), 50, np.uint8))
    before = Path('photos/a.png').read_bytes()
    assert main(['model.onnx', 'photos/sub', '--out', 'photos']) == 2
    assert 'photos/a.png is there already' in capsys.readouterr().err
    assert Path('photos/a.png').read_bytes() == before
    for _ in range(2):  # a second run into its own folder is fine
        assert main(['model.onnx', 'photos/sub', '--out', 'out']) == 0
