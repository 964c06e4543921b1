"""Which checkpoint a run goes on from. That a run does so is in tests/commands/test_crashes.py."""

import os
from types import SimpleNamespace

import pytest
import torch
from damage import flip

from mfdet.engine.checkpoint import checkpoint_classes, fit_progress, latest_checkpoint, newest_first, note_saved
from mfdet.engine.loop import IterationCheckpointHook
from mfdet.errors import InputError

WEIGHTS = torch.arange(100.0)


def save(folder, name, iteration, epoch, batches=4, seconds=0):
    """Save a checkpoint of the time ``seconds``."""
    meta = dict(iter=iteration, epoch=epoch, mfdet=dict(batches_per_epoch=batches))
    others = {part: {} for part in ('message_hub', 'optimizer', 'param_schedulers')}
    torch.save(dict(meta=meta, state_dict=dict(w=WEIGHTS), **others), folder / name)
    os.utime(folder / name, (seconds, seconds))


def names(folder):
    return [path.name for path in newest_first(folder)]


def test_the_clock_may_go_back(tmp_path):
    saved = ['iter_3.pth', 'epoch_1.pth', 'iter_6.pth', 'epoch_2.pth']
    for i, name in enumerate(saved):
        save(tmp_path, name, 0, 0, seconds=100 - i)
        note_saved(tmp_path, name)
    assert names(tmp_path) == saved[::-1]
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_2.pth')
    hook = IterationCheckpointHook(1)  # it removes the oldest
    hook.before_train(SimpleNamespace(work_dir=tmp_path))
    assert hook.saved == [str(tmp_path / name) for name in ('iter_3.pth', 'iter_6.pth')]


def test_an_earlier_point_that_the_run_went_on_from_is_followed(tmp_path):
    """Epoch 3 had gone wrong, and training was started again from epoch 1."""
    for name in ('epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', 'epoch_2.pth'):
        save(tmp_path, name, 0, 0)
        note_saved(tmp_path, name)
    assert names(tmp_path) == ['epoch_2.pth', 'epoch_3.pth', 'epoch_1.pth']


@pytest.mark.parametrize('noted', [False, True])
def test_copies_are_taken_by_their_progress(tmp_path, noted):
    for i in (9, 10):
        save(tmp_path, f'epoch_{i}.pth', 4 * i, i, seconds=100 - i)
    save(tmp_path, 'iter_39.pth', 39, 9, seconds=200)
    save(tmp_path, 'iter_40.pth', 40, 9, seconds=200)  # at the end of epoch 10, but before its validation
    expected = ['epoch_10.pth', 'iter_40.pth', 'iter_39.pth', 'epoch_9.pth']
    if noted:  # of those that are noted, but gone, no word is said
        for name in ('epoch_9.pth', 'epoch_11.pth'):
            note_saved(tmp_path, name)
        expected = ['epoch_9.pth', 'epoch_10.pth', 'iter_40.pth', 'iter_39.pth']
    assert names(tmp_path) == expected


def test_damaged_copies_are_named_and_passed_over(tmp_path, capsys):
    save(tmp_path, 'epoch_1.pth', 4, 1)
    (tmp_path / 'iter_3.pth').write_bytes(b'torn')
    (tmp_path / 'checkpoints.txt').write_bytes(b'\xff\x00\n')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')
    assert 'iter_3.pth is not a PyTorch checkpoint' in capsys.readouterr().err


def test_other_batches_or_processes_are_for_the_end_of_an_epoch():
    """The batch is that of all processes: two with 4 images each are as one with 8."""

    def meta(iteration, epoch):
        return dict(iter=iteration, epoch=epoch, mfdet=dict(batches_per_epoch=3, batch_size=8, max_epochs=5))

    assert fit_progress(meta(4, 1), 3, 8, 5, 'a.pth') is None
    with pytest.raises(InputError, match='of 3 batches of 8 images, here an epoch has 3 of 9; keep data, batch size'):
        fit_progress(meta(4, 1), 3, 9, 5, 'a.pth')
    with pytest.raises(InputError, match='here an epoch has 6 of 4'):
        fit_progress(meta(4, 1), 6, 4, 5, 'a.pth')
    other = meta(3, 1)
    assert 'is of a run of 5 epochs of 3 batches' in fit_progress(other, 6, 4, 5, 'a.pth')
    assert other['iter'] == 6


def save_weights(folder, number, weights=WEIGHTS):
    path = folder / f'epoch_{number}.pth'
    parts = {name: {} for name in ('meta', 'message_hub', 'optimizer', 'param_schedulers')}
    torch.save(dict(state_dict={'w': weights}, **parts), path)
    os.utime(path, (number, number))
    return path


def test_a_flipped_bit_and_weights_that_are_not_finite_are_passed_over(tmp_path, capsys):
    whole = save_weights(tmp_path, 1)
    save_weights(tmp_path, 2, torch.tensor([0.0, float('nan')]))
    flipped = save_weights(tmp_path, 3)
    flip(flipped, flipped.read_bytes().index(WEIGHTS.numpy().tobytes()) + 101)
    os.utime(flipped, (3, 3))
    assert latest_checkpoint(tmp_path) == str(whole)
    first, second = capsys.readouterr().err.splitlines()
    assert 'epoch_3.pth is damaged: its part epoch_3/data/0 is not as it was written' in first
    assert "epoch_2.pth: entry 'w' holds NaN or infinity" in second
    whole.unlink()
    with pytest.raises(InputError, match='none of the 2 checkpoints'):
        latest_checkpoint(tmp_path)


def test_class_names_must_be_texts():
    def stored(classes):
        return dict(meta=dict(dataset_meta=dict(classes=classes)))

    assert checkpoint_classes(stored(['cat', 'Käse 🧀']), 'a.pth') == ['cat', 'Käse 🧀']
    for wrong in (['cat', '\ud800'], ['cat', 3], 'cat'):
        with pytest.raises(InputError, match=r'a\.pth: its class names are no list of texts'):
            checkpoint_classes(stored(wrong), 'a.pth')
