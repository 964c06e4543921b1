"""Training and testing in 16 bits on a GPU, by commands."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from quick import QUICK, lengths

from mfdet.commands import predict as predict_command
from mfdet.commands import test as test_command
from mfdet.commands import train as train_command

CONFIGS = Path(__file__).parents[2] / 'configs'
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')


def run(command, *args):
    return command.main([*map(str, args)])


@needs_cuda
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('name', ['retinanet_mf26m', 'e2e_paper_mf26m', 'e2e_plus_mf26m'])
def test_training_goes_on_and_is_tested(name, dtype, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, work = CONFIGS / f'shapes/{name}.py', tmp_path / 'work'
    options = [*QUICK, *lengths(8, 4), f'optim_wrapper.dtype={dtype}']
    more = ['--amp', '--work-dir', work, '--cfg-options', *options]
    assert run(train_command, config, *more, 'train_cfg.max_epochs=1') == 0
    assert run(train_command, config, '--resume', *more, 'train_cfg.max_epochs=2') == 0
    summary = json.loads((work / 'summary.json').read_text())
    assert summary['iterations'] == 8
    checkpoint = torch.load(work / 'epoch_2.pth', weights_only=True)
    assert 'loss_scaler' in checkpoint['optimizer']
    tensors = [value for value in checkpoint['state_dict'].values() if value.is_floating_point()]
    assert {value.dtype for value in tensors} == {torch.float32}
    assert all(value.isfinite().all() for value in tensors)
    for precision in ('fp32', 'fp16', 'bf16'):
        args = ['--precision', precision, '--work-dir', tmp_path / 'test', '--cfg-options', *options[:-1]]
        assert run(test_command, config, work / 'epoch_2.pth', *args) == 0


def test_a_precision_is_for_a_checkpoint_on_a_gpu(tmp_path, capsys, monkeypatch):
    (tmp_path / 'model.onnx').touch()
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path)  # for the folder of predictions
    config = CONFIGS / 'shapes/e2e_mf26m.py'
    assert run(test_command, config, tmp_path / 'model.onnx', '--precision', 'bf16') == 2
    assert 'model.onnx has its own, bf16 is for a checkpoint' in capsys.readouterr().err
    assert run(predict_command, tmp_path / 'model.onnx', tmp_path, '--precision', 'fp16') == 2
    assert 'model.onnx has its own' in capsys.readouterr().err
    (tmp_path / 'model.pth').touch()
    assert run(predict_command, tmp_path / 'model.pth', tmp_path, '--precision', 'fp16') == 2
    assert 'fp16 is for a checkpoint on a GPU (device cuda)' in capsys.readouterr().err
