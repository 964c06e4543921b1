"""What a crash, a signal, a full disk and a diverged loss leave behind."""

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.fileio import LocalBackend
from quick import QUICK, SAME_BITS, lengths

from mfdet.commands import train as train_command
from mfdet.data.sampling import SeededIndex, random_state, seed_of
from mfdet.engine.loop import ResumableTrainLoop
from mfdet.engine.runner import ConsoleRunner
from mfdet.evaluation.metric import MfdetCocoMetric

ROOT = Path(__file__).parents[2]
SHAPES = str(ROOT / 'configs' / 'shapes' / 'retinanet_mf26m.py')
OPTIONS = [*QUICK, *lengths(8, 2), 'train_cfg.max_epochs=2', 'model.backbone.drop_path_rate=0.3']  # draws by chance


def train(folder, *args, options=()):
    return train_command.main([SHAPES, '--work-dir', str(folder), *map(str, args), '--cfg-options', *OPTIONS, *options])


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def assert_equal(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    assert [name for name in first if not first[name].equal(second[name])] == []


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    """A run of two epochs of four iterations that nothing disturbed."""
    folder = tmp_path_factory.mktemp('alone')
    assert train(folder, '--save-every', 3) == 0
    assert sorted(path.name for path in folder.glob('*.pth') if 'best' not in path.name) == [
        'epoch_1.pth',
        'epoch_2.pth',
        'iter_3.pth',
        'iter_6.pth',
    ]
    return folder


@SAME_BITS
@pytest.mark.parametrize('name', ['iter_3.pth', 'iter_6.pth', 'epoch_1.pth'])
def test_a_resumed_run_ends_with_the_same_bits(alone, tmp_path, name):
    assert train(tmp_path, '--resume', alone / name) == 0
    assert_equal(alone / 'epoch_2.pth', tmp_path / 'epoch_2.pth')


def test_other_seeds_give_other_weights(alone, tmp_path):
    assert train(tmp_path, options=['randomness.seed=1']) == 0
    first, second = weights(alone / 'epoch_2.pth'), weights(tmp_path / 'epoch_2.pth')
    assert any(not first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize(('number', 'iteration'), [(signal.SIGTERM, 2), (signal.SIGINT, 4)])
def test_a_signal_ends_the_step_saves_and_says_so(alone, tmp_path, monkeypatch, capsys, number, iteration):
    run_iter = ResumableTrainLoop.run_iter

    def interrupted(self, index, batch):
        if self._iter + 1 == iteration:
            os.kill(os.getpid(), number)
        run_iter(self, index, batch)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(ResumableTrainLoop, 'run_iter', interrupted)
        assert train(tmp_path) == 128 + number
    assert f'stopped by {number.name} after iteration {iteration}' in capsys.readouterr().err
    assert (tmp_path / f'iter_{iteration}.pth').is_file()
    assert signal.getsignal(signal.SIGINT) is before
    assert train(tmp_path, '--resume') == 0
    assert_equal(alone / 'epoch_2.pth', tmp_path / 'epoch_2.pth')


def test_a_signal_to_the_whole_group_spares_the_loaders_workers(tmp_path):
    options = [*OPTIONS, 'train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    options += ['train_dataloader.dataset.length=400']
    line = [sys.executable, 'tools/train.py', SHAPES, '--work-dir', str(tmp_path), '--cfg-options', *options]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    while not any('Epoch(train)' in log.read_text() for log in tmp_path.glob('*/*.log')):
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors.decode()[-2000:]
    assert b'stopped by SIGTERM' in errors
    assert len(list(tmp_path.glob('iter_*.pth'))) == 1


def test_other_batches_go_on_after_an_epoch_but_not_within(alone, tmp_path, capsys):
    other = ['train_dataloader.batch_size=4']
    assert train(tmp_path / 'within', '--resume', alone / 'iter_6.pth', options=other) == 2
    assert (
        'it is from the middle of an epoch of 4 batches of 2 images, here an epoch has 2 of 4;'
        in capsys.readouterr().err
    )
    assert train(tmp_path / 'after', '--resume', alone / 'epoch_1.pth', options=other) == 0
    meta = torch.load(tmp_path / 'after' / 'epoch_2.pth', weights_only=True)['meta']
    assert (meta['epoch'], meta['iter']) == (2, 4)


def test_a_torn_checkpoint_is_passed_over_with_a_warning(alone, tmp_path, capsys):
    for i, name in enumerate(('epoch_1.pth', 'iter_6.pth')):
        content = (alone / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // (i + 1)])
        os.utime(tmp_path / name, (i, i))
    assert train(tmp_path, '--resume') == 0
    assert 'iter_6.pth is not a PyTorch checkpoint, or it is damaged or cut short; looking' in capsys.readouterr().err
    assert_equal(alone / 'epoch_2.pth', tmp_path / 'epoch_2.pth')


def test_with_every_checkpoint_torn_nothing_starts(tmp_path, capsys):
    (tmp_path / 'epoch_1.pth').write_bytes(b'torn')
    assert train(tmp_path, '--resume') == 2
    assert 'none of the 1 checkpoints' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_1.pth']


def test_a_full_disk_leaves_the_last_checkpoint_alone(tmp_path, monkeypatch, capsys):
    put = LocalBackend.put

    def full(self, content, path):
        if 'epoch_2' in str(path):
            put(self, content[:1000], path)
            raise OSError(errno.ENOSPC, 'No space left on device')
        put(self, content, path)

    monkeypatch.setattr(LocalBackend, 'put', full)
    assert train(tmp_path) == 2
    assert 'epoch_2.pth: cannot be written: No space left on device' in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.glob('*epoch*') if 'best' not in path.name) == ['epoch_1.pth']
    assert list(tmp_path.glob('.part.*')) == []
    weights(tmp_path / 'epoch_1.pth')


def test_outdated_checkpoints_go_only_after_the_new_one_is_there(tmp_path, monkeypatch):
    """The disk fills up when the second best checkpoint is written, and, in a second run, the third epoch's."""
    scores, names = itertools.count(0.1, 0.1), ('bbox_mAP', 'bbox_mAP_50')
    monkeypatch.setattr(
        MfdetCocoMetric, 'evaluate', lambda self, size: {f'coco/{name}': next(scores) for name in names}
    )
    put = LocalBackend.put

    def full_at(name):
        def put_or_fail(self, content, path):
            if name in str(path):
                raise OSError(errno.ENOSPC, 'No space left on device')
            put(self, content, path)

        monkeypatch.setattr(LocalBackend, 'put', put_or_fail)

    full_at('best_coco_bbox_mAP_epoch_2')
    assert train(tmp_path / 'best') == 2
    assert [path.name for path in (tmp_path / 'best').glob('best*')] == ['best_coco_bbox_mAP_epoch_1.pth']
    full_at('epoch_3')
    options = ['train_cfg.max_epochs=3', 'train_cfg.val_interval=9']
    assert train(tmp_path / 'epochs', options=options) == 2
    assert sorted(path.name for path in (tmp_path / 'epochs').glob('epoch*')) == ['epoch_1.pth', 'epoch_2.pth']
    full_at('nothing')
    assert train(tmp_path / 'epochs', '--resume', options=options) == 0
    assert sorted(path.name for path in (tmp_path / 'epochs').glob('epoch*')) == ['epoch_2.pth', 'epoch_3.pth']


def test_a_resumed_run_tidies_up_and_tells_of_another_schedule(tmp_path):
    assert train(tmp_path, '--save-every', 1, options=['train_cfg.max_epochs=1']) == 0
    assert sorted(path.name for path in tmp_path.glob('iter*')) == ['iter_3.pth', 'iter_4.pth']
    assert train(tmp_path, '--save-every', 1, '--resume') == 0
    assert sorted(path.name for path in tmp_path.glob('iter*')) == ['iter_7.pth', 'iter_8.pth']
    logs = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert 'is of a run of 1 epochs of 4 batches, this one has 2 of 4: the learning rates go on as that run' in logs
    summary = (tmp_path / 'summary.json').read_text()
    assert train(tmp_path, '--resume') == 0  # nothing is left to do
    assert (tmp_path / 'summary.json').read_text() == summary


def test_the_first_process_alone_writes_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.is_main_process', lambda group=None: False)
    (tmp_path / '.part.epoch_1.pth').write_bytes(b'what the first process is writing')
    ConsoleRunner.save_checkpoint(None, str(tmp_path), 'epoch_1.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['.part.epoch_1.pth']


def test_a_diverged_loss_stops_with_images_and_terms_or_is_skipped(tmp_path, capsys):
    wild = ['optim_wrapper.optimizer.lr=1e30', 'param_scheduler=[]', 'optim_wrapper.clip_grad=None']
    assert train(tmp_path / 'stop', options=wild) == 2
    error = capsys.readouterr().err
    assert 'is not finite; lower optim_wrapper' in error
    assert '(images shapes/0/' in error
    assert 'loss_cls' in error
    assert 'nonfinite.pth' in error
    assert (tmp_path / 'stop' / 'nonfinite.pth').is_file()
    assert train(tmp_path / 'skip', '--on-nonfinite', 'skip', options=wild) == 0
    assert all(value.isfinite().all() for value in weights(tmp_path / 'skip' / 'epoch_2.pth').values())
    assert 'the step is left out, 7 so far' in capsys.readouterr().err + (
        next((tmp_path / 'skip').rglob('*.log')).read_text()
    )


def test_an_index_keeps_its_seed_and_random_numbers_come_back():
    import pickle

    index = pickle.loads(pickle.dumps(SeededIndex(5, 7)))
    assert (index, index.seed) == (5, 7)
    assert seed_of(0, 1, 2) == seed_of(0, 1, 2) != seed_of(0, 2, 1)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with random_state(9):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with random_state(9):
        assert torch.equal(torch.rand(2), inside)
