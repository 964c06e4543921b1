import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tiny_model import save_onnx

from mfdet.commands.demo import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch):
    save_onnx(tmp_path / 'model.onnx')
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['none.onnx'], 'none.onnx: no such model file'),
        (['model.onnx', 'none.pth'], 'none.pth: no such model file'),
        ([__file__], f'{__file__}: a detector ends in .onnx, .xml, .tflite, .pte (exported) or'),
        (['text.onnx'], 'text.onnx: is no model that onnxruntime can load'),
        (['model.onnx', '--port', '-1'], '--port must be from 0 (any that is free) to 65535, got -1'),
        (['model.onnx', '--host', '192.0.2.1'], '--host 192.0.2.1: is no address of this machine'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(args, says, capsys):
    Path('text.onnx').write_text('no model')
    if '--port' not in args:
        args = [*args, '--port', '0']
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'error: {says}')
    assert error.count('\n') == 1


def test_without_gradio_it_says_what_to_install(capsys, monkeypatch):
    for package in ('gradio', 'PIL'):  # the runtime alone has neither
        monkeypatch.setitem(sys.modules, package, None)
    assert main(['model.onnx', '--port', '0']) == 2
    assert capsys.readouterr().err == 'error: the page needs gradio: pip install "mfdet[demo]"\n'


def test_what_fails_leaves_no_temporary_files(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name)  # as if gradio were there, which is not reached
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'temporary'))
    assert main(['model.onnx', '--port', '0', '--examples', 'none']) == 2
    assert capsys.readouterr().err == 'error: --examples none: no such folder\n'
    assert not list((tmp_path / 'temporary').iterdir())


@pytest.mark.parametrize(('stop', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=['Ctrl-C', 'SIGTERM'])
def test_it_serves_without_torch_and_ends_in_order(tmp_path, stop, code):
    pytest.importorskip('gradio', reason='needs gradio: pip install "mfdet[demo]"')
    (tmp_path / 'temporary').mkdir()
    env = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path / 'temporary'))
    no_torch = 'import sys; sys.modules["torch"] = None; from mfdet.cli import main; sys.exit(main(sys.argv[1:]))'
    command = [sys.executable, '-c', no_torch, 'demo', 'model.onnx', '--port', '0']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        address = process.stdout.readline().split()[0]
        text = urllib.request.urlopen(address, timeout=20).read().decode()
        assert address.startswith('http://127.0.0.1:')
        assert 'What a detector finds' in text
        assert list((tmp_path / 'temporary').glob('mfdet-page-*'))
        process.send_signal(stop)
        output, error = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, output) == (code, '')
    assert error == ('interrupted\n' if stop == signal.SIGINT else '')
    assert not list((tmp_path / 'temporary').glob('mfdet-page-*'))
