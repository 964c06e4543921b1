"""Faults around a command: disks, folders, loaders, signals. Each ends in one sentence and harms no checkpoint."""

import contextlib
import itertools
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_model
import torch
from mmengine.runner import ValLoop
from pictures import grey, video
from quick import QUICK, lengths

from mfdet import cli
from mfdet.data.shapes import CLASSES, write_coco
from mfdet.data.shapes_dataset import GenerateShapes
from mfdet.engine.checkpoint import latest_checkpoint
from mfdet.engine.loop import ResumableTrainLoop
from mfdet.engine.runner import ConsoleRunner
from mfdet.evaluation.metric import MfdetCocoMetric

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'shapes' / 'retinanet_mf26m.py')
OPTIONS = [*QUICK, *lengths(4, 2)]


def run(*args):
    return cli.main([str(arg) for arg in args])


def train(folder, *args, epochs=2, options=()):
    options = [*OPTIONS, f'train_cfg.max_epochs={epochs}', *options]
    return run('train', CONFIG, '--work-dir', folder, *args, '--cfg-options', *options)


def run_test(checkpoint, *args, options=()):
    return run('test', CONFIG, checkpoint, *args, '--cfg-options', *OPTIONS, *options)


def sentence(capfd):
    """Return the error that a command has printed last, one line; there is no traceback."""
    error = capfd.readouterr().err
    assert 'Traceback' not in error, error
    assert 'Logging error' not in error, error
    last = error.strip().splitlines()[-1]
    assert last.startswith('error: '), error
    assert error.count('error: ') == 1, error
    return last


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory after one epoch of two iterations."""
    folder = tmp_path_factory.mktemp('trained')
    assert train(folder, epochs=1) == 0
    return folder


@pytest.fixture(scope='module')
def alone(trained, tmp_path_factory):
    """One after two epochs of four iterations, the first of them that of ``trained``."""
    folder = tmp_path_factory.mktemp('alone') / 'run'
    shutil.copytree(trained, folder)
    assert train(folder, '--resume') == 0
    return folder


@pytest.fixture
def started(trained, tmp_path):
    """A copy of ``trained``."""
    return Path(shutil.copytree(trained, tmp_path / 'started'))


@pytest.fixture
def disk(tmp_path):
    """A small file system."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'none', folder], capture_output=True).returncode:
        pytest.skip('a small file system cannot be mounted here')
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


def fill(disk, left):
    """Leave so many bytes of a file system."""
    stat = os.statvfs(disk)
    (disk / 'filler').write_bytes(bytes(max(0, stat.f_bavail * stat.f_frsize - left)))


@contextlib.contextmanager
def largest_file(size):
    """No file may become larger than ``size`` bytes: a full disk for those who are not root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_untouched(folder, trained):
    """The checkpoints of ``trained`` are there as they were, no other, and nothing half-written."""
    assert sorted(path.name for path in folder.glob('[ei]*.pth')) == ['epoch_1.pth']
    assert (folder / 'epoch_1.pth').read_bytes() == (trained / 'epoch_1.pth').read_bytes()
    assert list(folder.rglob('*.part*')) == []


def assert_goes_on(folder, alone):
    """The run goes on and ends as one that nothing disturbed."""
    assert train(folder, '--resume') == 0
    one, two = (torch.load(path / 'epoch_2.pth', weights_only=True)['state_dict'] for path in (folder, alone))
    assert all(one[name].equal(two[name]) for name in two)


def test_a_disk_that_fills_up_in_training(disk, trained, capfd):
    folder = Path(shutil.copytree(trained, disk / 'run'))
    for left, what in ((1 << 20, 'epoch_2.pth: cannot be written: '), (0, '')):
        fill(disk, left)
        assert train(folder, '--resume') == 2
        assert f'{what}No space left on device' in sentence(capfd)
        assert_untouched(folder, trained)
        (disk / 'filler').unlink()


def test_files_that_may_not_grow_in_training(started, trained, capfd):
    with largest_file(1 << 20):
        assert train(started, '--resume') == 2
    assert 'epoch_2.pth: cannot be written: File too large' in sentence(capfd)
    assert_untouched(started, trained)


def test_a_full_disk_in_export(disk, trained, capfd):
    output = disk / 'model.safetensors'
    output.write_text('an earlier export')
    fill(disk, 1 << 16)
    assert run('export', CONFIG, trained / 'epoch_1.pth', '--format', 'weights', '--output', output) == 2
    assert sentence(capfd) == f'error: {output}: cannot be written: No space left on device'
    assert sorted(path.name for path in disk.iterdir()) == ['filler', output.name]
    assert output.read_text() == 'an earlier export'


def test_a_full_disk_in_converting_to_openvino(disk, tmp_path):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('openvino')
    from mfdet.export.openvino import convert_to_openvino

    weights = onnx.numpy_helper.from_array(np.random.default_rng(0).random((300, 300), np.float32), 'w')
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 300]) for name in 'xy')
    graph = onnx.helper.make_graph([onnx.helper.make_node('MatMul', ['x', 'w'], ['y'])], 'g', [x], [y], [weights])
    opset = onnx.helper.make_opsetid('', 17)
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[opset]), tmp_path / 'm.onnx')
    fill(disk, 1 << 16)
    with pytest.raises(OSError, match='is the disk full'):
        convert_to_openvino(tmp_path / 'm.onnx', tiny_model.METADATA, disk / 'm.xml')


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A working directory with model.onnx and ten large images."""
    monkeypatch.chdir(tmp_path)
    tiny_model.save_onnx(Path('model.onnx'))
    for i in range(10):
        grey(f'in/{i}.bmp', 200, (400, 400))
    return 'model.onnx'


def test_a_full_disk_in_predicting_images(disk, model, capfd):
    out = disk / 'out'
    fill(disk, 2 << 20)
    assert run('predict', model, 'in', '--out', out) == 2
    assert 'cannot be written: No space left on device; what was found in 5 images is kept' in sentence(capfd)
    assert sorted(path.name for path in out.iterdir()) == [*(f'{i}.bmp' for i in range(4)), 'predictions.jsonl']
    assert all(cv2.imread(str(path)) is not None for path in out.glob('*.bmp'))
    (disk / 'filler').unlink()
    assert run('predict', model, 'in', '--out', out) == 0
    assert len(json.loads((out / 'predictions.json').read_text())['images']) == 10


def test_a_full_disk_in_predicting_a_video(disk, model, capfd):
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter('clip.avi', cv2.VideoWriter_fourcc(*'MJPG'), 10, (320, 240))
    if not writer.isOpened():
        pytest.skip('this build of OpenCV cannot write videos')
    for _ in range(20):
        writer.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    fill(disk, 1 << 17)
    assert run('predict', model, 'clip.avi', '--out', disk) == 2
    assert 'clip.mp4: ' in sentence(capfd)
    assert sorted(path.name for path in disk.iterdir()) == ['filler', 'predictions.jsonl']


def test_a_full_disk_in_drawing_tests(disk, trained, tmp_path, capfd):
    pictures = disk / 'pictures'
    pictures.mkdir()
    fill(disk, 0)
    args = ['--work-dir', tmp_path / 'work', '--show-dir', pictures]
    assert run_test(trained / 'epoch_1.pth', *args) == 2
    assert 'jpg: cannot be written: No space left on device' in sentence(capfd)
    assert list(pictures.iterdir()) == []


@pytest.fixture
def closed(trained):
    """A folder that may be read and not written, with a checkpoint; the test runs without the rights of root."""
    folder = Path(tempfile.mkdtemp(dir='/tmp'))  # others may not even look into those of pytest
    shutil.copy(trained / 'epoch_1.pth', folder)
    shutil.copy(folder / 'epoch_1.pth', folder / 'secret.pth').chmod(0)
    tiny_model.save_onnx(folder / 'model.onnx')
    grey(str(folder / 'a.png'))
    folder.chmod(0o555)
    as_root = os.geteuid() == 0
    if as_root:
        os.setresuid(65534, 65534, 0)
    yield folder
    if as_root:
        os.setresuid(0, 0, 0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


EXPORT = ['export', CONFIG, 'epoch_1.pth', '--format', 'weights', '--output']
SPARE = ['--work-dir', '/tmp']


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['train', CONFIG, '--work-dir', 'new'], '--work-dir new cannot be written: Permission denied'),
        (['train', CONFIG, '--work-dir', '.', '--resume'], '--work-dir . cannot be written: Permission denied'),
        (['test', CONFIG, 'epoch_1.pth', '--work-dir', '.'], '--work-dir . cannot be written: Permission denied'),
        (['test', CONFIG, 'epoch_1.pth', *SPARE, '--show-dir', 'new'], '--show-dir new cannot be written: Permission'),
        (['test', CONFIG, 'epoch_1.pth', *SPARE, '--out', 'a.json'], '--out a.json: its folder is not writable'),
        ([*EXPORT, 'a.safetensors'], '--output a.safetensors: its folder is not writable'),
        (['predict', 'model.onnx', 'a.png', '--out', 'new'], '--out new cannot be written: Permission denied'),
        (['predict', 'model.onnx', 'a.png', '--out', '.'], 'the results would overwrite a.png'),
        (['predict', 'secret.pth', 'a.png'], 'secret.pth: cannot be read: Permission denied'),
        (['train', CONFIG, *SPARE, '--resume', 'secret.pth'], 'secret.pth: cannot be read: Permission denied'),
    ],
)
def test_folders_and_files_that_are_closed(closed, args, says, monkeypatch, capfd):
    monkeypatch.chdir(closed)
    before = sorted(closed.iterdir())
    assert run(*args) == 2
    assert says in sentence(capfd)
    assert sorted(closed.iterdir()) == before


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def leaves():
    os._exit(1)


def hangs():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # as one that waits for a dead share
    time.sleep(30)


@pytest.mark.parametrize(
    ('split', 'fault', 'says'),
    [
        ('train', dies, 'this is often for lack of memory: take a smaller num_workers or batch_size'),
        ('train', hangs, 'DataLoader timed out after 2 seconds; look whether the folder of the images can still be'),
        ('val', hangs, 'DataLoader timed out after 2 seconds; look'),
        ('test', leaves, 'DataLoader worker (pid'),
    ],
)
def test_a_loaders_worker_that_dies_or_hangs(started, trained, tmp_path, split, fault, says, monkeypatch, capfd):
    transform = GenerateShapes.transform

    def faulty(self, results):
        if torch.utils.data.get_worker_info() is not None:
            fault()
        return transform(self, results)

    monkeypatch.setattr(GenerateShapes, 'transform', faulty)
    options = [f'{split}_dataloader.{option}' for option in ('num_workers=1', 'timeout=2')]
    if split == 'test':
        assert run_test(started / 'epoch_1.pth', '--work-dir', tmp_path, options=options) == 2
    else:
        assert train(started, '--resume', options=options) == 2
    assert says in sentence(capfd)
    assert multiprocessing.active_children() == []
    assert_untouched(started, trained)


def test_workers_have_ten_minutes_for_a_batch():
    loader = dict(dataset=[1, 2], sampler=dict(type='DefaultSampler', shuffle=False), batch_size=1)
    timeouts = [
        ConsoleRunner.build_dataloader({**loader, **others}).timeout
        for others in (dict(num_workers=1), dict(num_workers=0), dict(num_workers=1, timeout=0))
    ]
    assert timeouts == [600, 0, 0]


def at_iteration(number, do, monkeypatch):
    """Do something before an iteration of the training, counted from 1."""
    run_iter = ResumableTrainLoop.run_iter

    def run_and_do(self, index, batch):
        if self._iter + 1 == number:
            do()
        run_iter(self, index, batch)

    monkeypatch.setattr(ResumableTrainLoop, 'run_iter', run_and_do)


@pytest.mark.parametrize(
    ('log_interval', 'says'),
    [(1, '.json: No such file or directory'), (50, 'started: this folder is no longer there, iter_3.pth cannot be')],
)
def test_a_work_dir_that_goes_away_and_comes_back(started, trained, alone, log_interval, says, monkeypatch, capfd):
    away = started.with_name('away')
    with monkeypatch.context() as patch:
        at_iteration(3, lambda: started.rename(away), patch)
        options = [f'default_hooks.logger.interval={log_interval}']
        assert train(started, '--resume', '--save-every', 1, options=options) == 2
    assert says in sentence(capfd)
    assert not started.exists()  # nothing was written below the place of the share
    assert_untouched(away, trained)
    if log_interval == 1:
        away.rename(started)
        assert_goes_on(started, alone)


def test_images_that_go_away_in_training_and_come_back(tmp_path, monkeypatch, capfd):
    share, away, work = tmp_path / 'share', tmp_path / 'away', tmp_path / 'work'
    write_coco(share, 2, 0, (64, 64), 'a')
    config = Path(CONFIG).parents[1] / 'cpu' / 'retinanet_mf26m.py'
    data = ['--data-root', share]
    for split in ('train', 'val'):
        data += [f'--{split}-ann', 'annotations/a.json', f'--{split}-images', 'images']
    options = ['--cfg-options', *QUICK, 'train_cfg.max_epochs=2']
    with monkeypatch.context() as patch:
        at_iteration(2, lambda: share.rename(away), patch)
        assert run('train', config, '--work-dir', work, *data, *options) == 2
    assert re.search(r'share/images/a_\d+\.png: no such image file', sentence(capfd))
    assert [path.name for path in work.glob('epoch*')] == ['epoch_1.pth', 'epoch_2.pth']
    away.rename(share)
    assert run('train', config, '--work-dir', work, *data, '--resume', *options) == 0


def summary(folder):
    return json.loads((folder / 'summary.json').read_text())


def test_ctrl_c_in_the_validation_ends_it_and_it_is_made_up_for(started, alone, monkeypatch, capfd):
    run_iter, at = ValLoop.run_iter, []

    def interrupted(self, index, batch):
        at.append((self.runner.epoch, index))
        if at[-1] == (2, 0):
            os.kill(os.getpid(), signal.SIGINT)
        run_iter(self, index, batch)

    options = ['val_dataloader.batch_size=1']
    with monkeypatch.context() as patch:
        patch.setattr(ValLoop, 'run_iter', interrupted)
        assert train(started, '--resume', options=options) == 130
    assert at[-1] == (2, 0)
    says = f'stopped by SIGINT after iteration 4; the state is in {started}/iter_4.pth: go on with --resume\n'
    assert capfd.readouterr().err.endswith(says)
    assert_goes_on(started, alone)
    assert summary(started)['best_ap'] == summary(alone)['best_ap']


def test_the_best_is_still_known_when_a_run_goes_on(started, monkeypatch):
    """The checkpoint of an epoch is written before its validation."""
    scores = iter([0.5, 0.3])
    names = ('bbox_mAP', 'bbox_mAP_50')
    monkeypatch.setattr(
        MfdetCocoMetric, 'evaluate', lambda *args: dict.fromkeys([f'coco/{name}' for name in names], next(scores))
    )
    assert train(started, '--resume') == 0
    assert summary(started)['best_ap'] == 0.5
    assert [path.name for path in started.glob('best*')] == ['best_coco_bbox_mAP_epoch_1.pth']


def test_a_run_does_not_go_on_with_other_classes(trained, tmp_path, capfd):
    classes = CLASSES[::-1]
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=True)
    checkpoint['meta']['dataset_meta']['classes'] = list(classes)
    torch.save(checkpoint, tmp_path / 'other.pth')
    assert train(tmp_path / 'run', '--resume', tmp_path / 'other.pth') == 2
    says = f'other.pth: it was trained on 6 classes ({", ".join(classes)}), these data have 6 (ellipse, '
    assert says in sentence(capfd)
    assert list((tmp_path / 'run').glob('*.pth')) == []


@pytest.mark.parametrize(('suffix', 'code'), [('mp4', 2), ('mkv', 1), ('avi', 1)])
def test_a_video_that_is_cut_short(model, suffix, code, capfd):
    clip = Path(video(f'clip.{suffix}', range(50, 250, 2)))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert run('predict', model, clip) == code
    says = 'is damaged or not a video' if code == 2 else 'can be read up to frame'
    assert f'{clip}: {says}' in sentence(capfd)
    assert Path('predictions/predictions.json').exists() is (code == 1)


def test_a_clock_that_goes_back_in_training(started, alone, monkeypatch):
    now, save = itertools.count(1e9, -1000), ConsoleRunner.save_checkpoint

    def save_earlier(self, out_dir, filename, *args, **kwargs):
        save(self, out_dir, filename, *args, **kwargs)
        os.utime(os.path.join(out_dir, filename), (next(now),) * 2)

    with monkeypatch.context() as patch:
        patch.setattr(time, 'time', lambda: next(now))
        patch.setattr(ConsoleRunner, 'save_checkpoint', save_earlier)
        assert train(started, '--resume', '--save-every', 1, epochs=3) == 0
    assert sorted(path.name for path in started.glob('[ei]*.pth')) == [
        *('epoch_2.pth', 'epoch_3.pth', 'iter_5.pth', 'iter_6.pth')
    ]
    assert latest_checkpoint(started) == str(started / 'epoch_3.pth')
