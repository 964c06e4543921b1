import os

import pytest
import torch

from mfdet.engine.checkpoint import latest_checkpoint, newest_first, note_saved


def save(folder, name, iteration, epoch, batches=4, seconds=0):
    """Save a checkpoint without weights, of the time ``seconds``."""
    meta = dict(iter=iteration, epoch=epoch, mfdet=dict(batches_per_epoch=batches))
    others = ('state_dict', 'message_hub', 'optimizer', 'param_schedulers')
    torch.save(dict(meta=meta, **{part: {} for part in others}), folder / name)
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
