"""E2E-MF+ from the command line: averaged weights, and a training aid that nothing but training needs."""

import json
from pathlib import Path

import pytest
import torch
from head_inputs import make_aid
from quick import QUICK, SAME_BITS, lengths
from tiny_model import METADATA, save_onnx

from mfdet.commands import test as test_command
from mfdet.commands import train as train_command
from mfdet.data.shapes import CLASSES
from mfdet.engine.inference import load_model

SHAPES = str(Path(__file__).parents[2] / 'configs' / 'shapes' / 'e2e_plus_mf26m.py')
AIDED = f"""
_base_ = [{SHAPES!r}]
model = dict(bbox_head=dict(denoising=dict(), dense_aid={make_aid(num_classes=6, channels=96)}))
"""
OPTIONS = [*QUICK, *lengths(6, 3), 'train_cfg.max_epochs=2']


def train(config, folder, *args):
    return train_command.main([config, '--work-dir', str(folder), *map(str, args), '--cfg-options', *OPTIONS])


def read(path):
    return torch.load(path, weights_only=True)


@pytest.fixture(scope='module')
def aided(tmp_path_factory):
    """A config with training aids."""
    path = tmp_path_factory.mktemp('config') / 'aided.py'
    path.write_text(AIDED)
    return str(path)


@pytest.fixture(scope='module')
def folder(aided, tmp_path_factory):
    """A work directory after two epochs of three iterations."""
    folder = tmp_path_factory.mktemp('alone')
    assert train(aided, folder, '--save-every', 4) == 0
    return folder


@SAME_BITS
def test_a_resumed_run_ends_with_the_same_bits(aided, folder, tmp_path):
    assert train(aided, tmp_path, '--resume', folder / 'iter_4.pth') == 0
    first, second = read(folder / 'epoch_2.pth'), read(tmp_path / 'epoch_2.pth')
    for part in ('state_dict', 'ema_state_dict'):
        assert first[part].keys() == second[part].keys()
        assert [name for name in first[part] if not first[part][name].equal(second[part][name])] == []


def test_the_best_checkpoint_holds_what_use_needs(folder):
    best, last = read(next(folder.glob('best_*.pth'))), read(folder / 'epoch_2.pth')
    assert any('dense_aid' in name for name in last['state_dict'])
    assert not any('dense_aid' in name for name in best['state_dict'])
    assert 'ema_state_dict' in last
    assert 'ema_state_dict' not in best
    assert not {'dense_aid', 'denoising'} & set(best['meta']['mfdet']['config']['model']['bbox_head'])


def test_either_checkpoint_finds_what_the_averages_find(folder, tmp_path):
    found = []
    for name in ('epoch_2.pth', next(folder.glob('best_*_epoch_2.pth'), folder / 'epoch_2.pth').name):
        out = tmp_path / f'{name}.json'
        args = [SHAPES, str(folder / name), '--work-dir', str(tmp_path / 'work'), '--out', str(out)]
        assert test_command.main([*args, '--cfg-options', *OPTIONS]) == 0
        found.append(json.loads(out.read_text()))
    assert found[0] == found[1]
    assert len(found[0]) == 3 * 25  # every query of every image: no NMS, no threshold
    averaged = read(folder / 'epoch_2.pth')['state_dict']
    model, _, classes = load_model(None, str(folder / 'epoch_2.pth'))
    assert len(classes) == 6
    for name, value in model.state_dict().items():
        assert value.equal(averaged[name])


def test_an_export_is_tested_with_the_config_of_its_training(tmp_path):
    """Averages are of the training, as is what it started from: there is no model of torch to take them of."""
    model = save_onnx(tmp_path / 'model.onnx', {**METADATA, 'classes': list(CLASSES)})
    options = [*OPTIONS, 'load_from=nowhere.pth']
    assert test_command.main([SHAPES, str(model), '--work-dir', str(tmp_path), '--cfg-options', *options]) == 0
