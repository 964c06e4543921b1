"""Denoising queries and groups of queries from the command line: nothing but a training needs them."""

from pathlib import Path

import pytest
import torch
from quick import QUICK, SAME_BITS, lengths

from mfdet.commands import train as train_command
from mfdet.engine.inference import load_model

SHAPES = str(Path(__file__).parents[2] / 'configs' / 'shapes' / 'e2e_paper_mf26m.py')
AIDS = ['model.bbox_head.denoising.contrastive=True', 'model.bbox_head.query_groups=2']
NAMES = ('bbox_head.denoising.', 'bbox_head.query_groups.')


def train(folder, *args, options=()):
    given = [*QUICK, *lengths(4, 2), 'train_cfg.max_epochs=2', *options]
    return train_command.main([SHAPES, '--work-dir', str(folder), *map(str, args), '--cfg-options', *given])


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def differing(first, second):
    assert first.keys() == second.keys()
    return [name for name, value in first.items() if not value.equal(second[name])]


def own(state_dict):
    return {name: value for name, value in state_dict.items() if not name.startswith(NAMES)}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A work directory after two epochs of two iterations with both aids."""
    folder = tmp_path_factory.mktemp('aided')
    assert train(folder, '--save-every', 3, options=AIDS) == 0
    return folder


@SAME_BITS
def test_a_resumed_run_ends_with_the_same_bits(folder, tmp_path):
    assert train(tmp_path, '--resume', folder / 'iter_3.pth', options=AIDS) == 0
    assert differing(weights(folder / 'epoch_2.pth'), weights(tmp_path / 'epoch_2.pth')) == []


def test_a_run_does_not_go_on_without_its_aids(folder, tmp_path, capsys):
    assert train(tmp_path, '--resume', folder / 'iter_3.pth') == 2
    assert "entry 'bbox_head.denoising.label_code.weight' is unknown" in capsys.readouterr().err


def test_either_checkpoint_runs_without_the_aids(folder):
    last, best = weights(folder / 'epoch_2.pth'), weights(next(folder.glob('best_*.pth')))
    assert all(any(name.startswith(prefix) for name in last) for prefix in NAMES)
    assert best.keys() == own(last).keys()
    for config, options in ((None, None), (SHAPES, None), (SHAPES, dict(part.split('=') for part in AIDS[1:]))):
        model, found, _ = load_model(config, str(folder / 'epoch_2.pth'), options)
        assert differing(model.state_dict(), own(last)) == []
        assert not {'denoising', 'query_groups'} & set(found.model.bbox_head)


def test_fine_tuning_starts_from_either_with_aids_or_without(folder, tmp_path):
    still = ['optim_wrapper.optimizer.lr=0.0', 'train_cfg.max_epochs=1']
    best, last = next(folder.glob('best_*.pth')), folder / 'epoch_2.pth'
    parameters = [name for name in own(weights(last)) if not name.endswith(('_mean', '_var', '_tracked'))]
    for start, options in ((best, AIDS), (last, [])):
        work = tmp_path / f'{start.stem}_{len(options)}'
        assert train(work, '--load-from', start, options=[*still, *options]) == 0
        after, before = weights(work / 'epoch_1.pth'), weights(start)
        assert [name for name in parameters if not after[name].equal(before[name])] == []
        assert any(name.startswith(NAMES) for name in after) == bool(options)


def test_wrong_options_end_the_command_with_a_sentence(tmp_path, capsys):
    assert train(tmp_path, options=['model.bbox_head.denoising.label_noise=2']) == 2
    assert 'denoising.label_noise must be from 0 to 1, got 2' in capsys.readouterr().err
    assert train(tmp_path, options=['model.bbox_head.denoising.noise=2']) == 2
    assert 'denoising must be a dict with any of box_noise_scale' in capsys.readouterr().err
