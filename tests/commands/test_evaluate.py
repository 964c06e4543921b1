import json
import subprocess
import sys
from pathlib import Path

import pytest

from mfdet.commands.evaluate import main
from mfdet.evaluation import coco

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path):
    """Two medium objects of one class, one of them found; a class without objects."""
    objects = [
        {'id': 1, 'image_id': 1, 'category_id': 2, 'bbox': [0, 0, 50, 50]},
        {'id': 2, 'image_id': 1, 'category_id': 2, 'bbox': [100, 100, 50, 50]},
    ]
    categories = [{'id': 2, 'name': 'zebra'}, {'id': 1, 'name': 'ant'}]
    dataset = {'images': [{'id': 1}], 'annotations': objects, 'categories': categories}
    results = [{'image_id': 1, 'category_id': 2, 'bbox': [0, 0, 50, 50], 'score': 0.5}]
    for name, content in (('gt.json', dataset), ('results.json', results)):
        (tmp_path / name).write_text(json.dumps(content))
    return [str(tmp_path / 'gt.json'), str(tmp_path / 'results.json')]


AP = 51 / 101  # of 101 recall levels, 0 to 0.5 are reached
STATS = {
    **dict.fromkeys(('AP', 'AP50', 'AP75', 'APm'), AP),
    **dict.fromkeys(('AR1', 'AR10', 'AR100', 'ARm'), 0.5),
    **dict.fromkeys(('APs', 'APl', 'ARs', 'ARl'), -1.0),
}


@pytest.fixture(params=coco.EVALUATORS)
def evaluator(request):
    if request.param == 'faster':
        pytest.importorskip('faster_coco_eval', reason='faster-coco-eval is not installed')
    return request.param


def test_json_is_the_twelve_numbers_and_nothing_else(files, evaluator, capsys):
    assert main([*files, '--json', '--evaluator', evaluator]) == 0
    output = capsys.readouterr()
    stats = json.loads(output.out)
    assert list(stats) == list(coco.METRICS)
    assert stats == pytest.approx(STATS, abs=1e-9)
    assert output.err == ''


def test_json_with_classes(files, capsys):
    assert main([*files, '--json', '--per-class']) == 0
    stats = json.loads(capsys.readouterr().out)
    zebra, ant = stats.pop('per_class')
    assert list(stats) == list(coco.METRICS)
    assert zebra == {'name': 'zebra', 'AP': pytest.approx(AP), 'AP50': pytest.approx(AP), 'AP75': pytest.approx(AP)}
    assert ant == {'name': 'ant', 'AP': -1.0, 'AP50': -1.0, 'AP75': -1.0}


def test_tables(files, capsys):
    assert main(files) == 0
    table = capsys.readouterr().out
    assert 'APm     0.50:0.95  medium         100   0.505\n' in table
    assert 'zebra' not in table
    assert main([*files, '--per-class']) == 0
    assert capsys.readouterr().out == table + (
        '\nclass      AP    AP50    AP75\nzebra   0.505   0.505   0.505\nant    -1.000  -1.000  -1.000\n'
    )


def test_mistakes_end_with_code_two_and_one_line(files, capsys, tmp_path):
    (tmp_path / 'results.json').write_text('[{"image_id": 3}]')
    assert main(files) == 2
    output = capsys.readouterr()
    assert output.out == ''
    assert output.err == f"error: {files[1]}: results[0]: has no 'category_id'\n"
    assert main([files[0] + '.gz', files[1], '--json']) == 2
    assert capsys.readouterr().out == ''
    with pytest.raises(SystemExit) as error:
        main([*files, '--evaluator', 'slow'])
    assert error.value.code == 2


def test_missing_evaluator_is_said_before_the_files_are_read(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
    assert main(['none.json', 'none.json', '--evaluator', 'faster']) == 2
    assert 'pip install faster-coco-eval' in capsys.readouterr().err


def test_help_fits_a_screen_and_shows_an_example(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '120')
    with pytest.raises(SystemExit) as error:
        main(['--help'])
    assert error.value.code == 0
    text = capsys.readouterr().out
    assert 'python tools/evaluate.py instances_val2017.json' in text
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 120


def test_script_runs_without_torch_and_hands_on_the_exit_code(files):
    code = (
        'import runpy, sys\n'
        'sys.modules.update(torch=None, mmcv=None, mmengine=None, mmdet=None)\n'  # importing one would fail
        f'runpy.run_path({str(ROOT / "tools" / "evaluate.py")!r}, run_name="__main__")'
    )

    def run(*arguments):
        return subprocess.run([sys.executable, '-c', code, *arguments], cwd=ROOT, capture_output=True, text=True)

    done = run(*files, '--json')
    assert (done.returncode, done.stderr) == (0, '')
    assert json.loads(done.stdout) == pytest.approx(STATS)
    assert run(files[0], 'none.json').returncode == 2
