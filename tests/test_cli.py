import importlib
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from mfdet import __version__, cli

ROOT = Path(__file__).parents[1]


def mfdet(*args, python=(), cwd=ROOT):
    command = [sys.executable, *python, '-m', 'mfdet', *args]
    env = dict(PYTHONPATH=str(ROOT), COLUMNS='80', PATH='', OMP_NUM_THREADS='1')
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=env)


def test_help_fits_a_screen_and_names_every_command():
    done = mfdet('--help')
    assert (done.returncode, done.stderr) == (0, '')
    lines = done.stdout.splitlines()
    assert len(lines) <= 28
    assert max(map(len, lines)) <= 100
    for name, (_, does) in cli.COMMANDS.items():
        assert f'  {name:<16}{does}' in lines
    assert lines[-2:] == ['example:', '  mfdet predict model.onnx photos --out predictions']
    assert mfdet('-h').stdout == done.stdout


def test_help_imports_nothing_heavy():
    code = (
        'import sys; from mfdet.cli import main; main(["--help"])\n'
        'heavy = {"numpy", "cv2", "torch", "mmengine", "onnxruntime", "mfdet.commands.train"} & set(sys.modules)\n'
        'sys.exit(str(heavy) if heavy else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, '')


def test_a_command_imports_no_other(tmp_path):
    code = (
        'import sys; from mfdet.cli import main; code = main(["predict", "none.onnx", "none.png"])\n'
        'names = [name.removeprefix("mfdet.commands.") for name in sys.modules if name.startswith("mfdet.commands.")]\n'
        'assert [name for name in names if name[0] != "_"] == ["predict"], names\n'
        'assert "torch" not in sys.modules\n'
        'sys.exit(code)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (2, 'error: none.png: no such file or folder\n')


def help_of(call, monkeypatch, capsys):
    """The help that a call prints, in this process: a new one for each would import torch each time."""
    monkeypatch.setenv('COLUMNS', '80')
    with pytest.raises(SystemExit) as end:
        call()
    output = capsys.readouterr()
    assert (end.value.code, output.err) == (0, '')
    return output.out


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_help_of_a_command(name, monkeypatch, capsys):
    for package in () if name in ('predict', 'evaluate', 'demo') else ('torch', 'mmdet'):
        pytest.importorskip(package)
    text = help_of(lambda: cli.main([name, '--help']), monkeypatch, capsys)
    assert text.startswith(f'usage: mfdet {name} ')
    assert f'\n  mfdet {name} ' in text.split('example', 1)[1]
    assert f'tools/{cli.COMMANDS[name][0]}.py' not in text
    assert len(text.splitlines()) <= 48


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_a_tool_calls_the_same_code_by_its_own_name(name, monkeypatch, capsys):
    module = cli.COMMANDS[name][0]
    tool = ROOT / 'tools' / f'{module}.py'
    assert f'from mfdet.commands.{module} import main\n' in tool.read_text()
    for package in () if name in ('predict', 'evaluate', 'demo') else ('torch', 'mmdet'):
        pytest.importorskip(package)
    monkeypatch.setattr(sys, 'argv', [str(tool), '--help'])
    text = help_of(lambda: runpy.run_path(str(tool), run_name='__main__'), monkeypatch, capsys)
    assert text.startswith(f'usage: python tools/{module}.py ')
    assert f'\n  python tools/{module}.py ' in text.split('example', 1)[1]


def test_commands_get_their_arguments_and_give_their_exit_code(monkeypatch):
    seen = []
    module = importlib.import_module('mfdet.commands.evaluate')
    monkeypatch.setattr(module, 'main', lambda argv: seen.append((argv, sys.argv[0])) or 7)
    before = sys.argv[0]
    assert cli.main(['evaluate', 'a', '--json']) == 7
    monkeypatch.setattr(sys, 'argv', ['/usr/bin/mfdet', 'evaluate', '--help'])
    assert cli.main() == 7
    assert seen == [(['a', '--json'], 'mfdet evaluate'), (['--help'], 'mfdet evaluate')]
    assert sys.argv[0] == '/usr/bin/mfdet' != before


def test_a_command_runs(tmp_path):
    pytest.importorskip('pycocotools')
    objects = [{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 50, 50]}]
    truth = {'images': [{'id': 1}], 'annotations': objects, 'categories': [{'id': 1, 'name': 'cat'}]}
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    found = [{'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 50, 50], 'score': 0.5}]
    (tmp_path / 'found.json').write_text(json.dumps(found))
    done = mfdet('evaluate', 'truth.json', 'found.json', '--json', cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    assert json.loads(done.stdout)['AP'] == pytest.approx(1)


def test_unknown_command(capsys):
    assert cli.main(['trian', 'config.py']) == 2
    choices = ', '.join(cli.COMMANDS)
    output = capsys.readouterr()
    assert output.err == f"error: there is no command 'trian'; the commands are {choices}\n"
    assert output.out == ''
    assert cli.main(['--verbose']) == 2
    assert "no command '--verbose'" in capsys.readouterr().err


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 2
    output = capsys.readouterr()
    assert output.out == ''
    assert output.err.startswith('usage: mfdet COMMAND ...\n')


def test_version(capsys):
    assert cli.main(['--version']) == 0
    assert capsys.readouterr().out == f'mfdet {__version__}\n'


@pytest.mark.parametrize('name', ['train', 'test', 'convert', 'flops'])
def test_without_the_training_packages_a_command_says_what_to_install(name, tmp_path):
    done = mfdet(name, '--help', python=['-S'], cwd=tmp_path)  # -S: no site-packages
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == (
        'error: torch and mmengine and mmcv and mmdet cannot be found; '
        'install what this needs: pip install "mfdet[train]"\n'
    )


def test_setup(monkeypatch):
    core = pytest.importorskip('setuptools').distutils.core
    monkeypatch.chdir(ROOT)
    setup = core.run_setup('setup.py', stop_after='init')
    assert setup.entry_points == {'console_scripts': ['mfdet = mfdet.cli:main']}
    assert setup.extras_require['runtime'] == ['onnxruntime>=1.18']
    names = [re.match(r'[\w-]+', requirement)[0] for requirement in setup.install_requires]
    assert names == ['numpy', 'opencv-python-headless']
