"""Two processes that train, test and end as one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from class_folders import CONFIG as CLASSIFIER
from class_folders import TINY, write_folders
from quick import QUICK, lengths

from mfdet.commands import train

ROOT = Path(__file__).parents[2]
RETINANET = str(ROOT / 'configs' / 'shapes' / 'retinanet_mf26m.py')
E2E = str(ROOT / 'configs' / 'shapes' / 'e2e_paper_mf26m.py')
STEPS = [
    'train_cfg.max_epochs=2',
    'train_cfg.val_interval=2',
    'log_processor.window_size=1',
    # Adam turns rounding into whole steps where a gradient is next to zero.
    'optim_wrapper.optimizer._delete_=True',
    'optim_wrapper.optimizer.type=SGD',
    'optim_wrapper.optimizer.lr=0.01',
    'optim_wrapper.optimizer.weight_decay=0.0001',
]
OPTIONS = [
    *QUICK,
    *lengths(8, 2),
    *STEPS,
    'model.backbone.drop_path_rate=0',  # drawn in each process by itself
]
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason='tests the processes of a machine without a GPU')


def start(processes, *words, **others):
    launch = (
        ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(processes)] if processes > 1 else []
    )
    return subprocess.Popen(
        [sys.executable, *launch, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        **others,
    )


def run(processes, *words):
    process = start(processes, *words)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]
    assert 'left early' not in output
    return output


def logged(folder):
    """The records that a training has logged."""
    lines = next(folder.glob('*/vis_data/scalars.json')).read_text().splitlines()
    return [json.loads(line) for line in lines]


def losses(folder):
    """The logged losses of each iteration."""
    records = [record for record in logged(folder) if 'loss' in record]
    return [{name: r[name] for name in r if 'loss' in name or name == 'grad_norm'} for r in records]


@pytest.mark.parametrize('config', [RETINANET, E2E, CLASSIFIER])
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path, config):
    folders = [tmp_path / 'one', tmp_path / 'two']
    data, task = [], OPTIONS
    if config == CLASSIFIER:
        data, task = ['--data-root', write_folders(tmp_path / 'data', train=4)], [*TINY, *STEPS]
    for processes, folder in enumerate(folders, 1):
        words = [config, '--work-dir', folder, '--sync-bn', *data, '--cfg-options', *task]
        run(processes, 'tests/engine/train_in_double.py', *words, f'train_dataloader.batch_size={4 // processes}')
    curves = [losses(folder) for folder in folders]
    assert len(curves[0]) == len(curves[1]) == 4
    for one, two in zip(*curves, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            assert two[name] == pytest.approx(one[name], rel=1e-5, abs=1e-5), name
    one, two = (torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict'] for folder in folders)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-5, msg=lambda text, name=name: name + text)
    if config == CLASSIFIER:
        one, two = (logged(folder)[-1] for folder in folders)
        assert one['step'] == two['step'] == 2
        assert (one['accuracy/top1'], one['accuracy/top5']) == (two['accuracy/top1'], two['accuracy/top5'])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    options = ['--cfg-options', *OPTIONS, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    run(1, 'tools/train.py', RETINANET, '--work-dir', folder, *options)
    return folder / 'epoch_1.pth'


def test_two_processes_fine_tune_with_a_frozen_backbone(trained, tmp_path):
    options = [*OPTIONS, 'train_cfg.max_epochs=1', 'train_dataloader.dataset.length=4']
    words = [RETINANET, '--work-dir', tmp_path, '--load-from', trained, '--freeze', 'backbone']
    output = run(2, 'tools/train.py', *words, '--cfg-options', *options)
    assert output.count('Training on the CPU in 2 processes for 1 epochs of 1 steps') == output.count('1/1: loss') == 1
    assert len(losses(tmp_path)) == 1
    before, after = (torch.load(path, weights_only=True)['state_dict'] for path in (trained, tmp_path / 'epoch_1.pth'))
    assert before.keys() == after.keys()
    changed = {name.partition('.')[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {'neck', 'bbox_head'}


def test_uneven_shards_give_the_same_ap(trained, tmp_path):
    found = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        options = ['test_dataloader.dataset.length=5', 'test_dataloader.batch_size=1', 'model.test_cfg.score_thr=0.0']
        options += ['test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False']
        command = ['tools/test.py', RETINANET, trained, '--work-dir', folder, '--out', tmp_path / 'out.json']
        run(processes, *command, '--cfg-options', *options)
        metrics = json.loads(next(folder.glob('*/*.json')).read_text())
        detections = json.loads((tmp_path / 'out.json').read_text())
        assert len({item['image_id'] for item in detections}) == 5
        key = [json.dumps(item, sort_keys=True) for item in detections]
        found.append(({name: metrics[name] for name in metrics if 'coco/' in name}, sorted(key)))
    assert found[0][0]['coco/bbox_mAP'] > 0
    assert found[0] == found[1]


LEAVING = """
import atexit, contextlib, os, sys, time

def keep_busy():  # the last thing before the interpreter is taken down
    print('at exit')
    if rank == 1:
        os.mkdir(path)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass

atexit.register(keep_busy)  # the first to be registered comes last
import torch
from torch import distributed as dist
from mfdet.engine.distributed import leave

class Last:
    def __del__(self, sleep=time.sleep):
        sleep(3)

address, rank, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sys.setswitchinterval(100)  # a thread that waits for Python's lock does not get it while this one is busy
last = Last()
dist.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
if rank == 0:
    while not os.path.exists(path):
        time.sleep(0.02)
    with contextlib.suppress(RuntimeError):
        dist.all_reduce(torch.ones(1))
    leave(3)
for begin in (lambda: dist.all_reduce(torch.ones(1), async_op=True), lambda: None):
    torch.ones(1, requires_grad=True).sum().backward()  # a new context; what was begun alone holds the one before
    begin()
leave(4)
"""


def test_threads_of_gloo_do_not_abort_a_process_that_leaves(tmp_path):
    line = [sys.executable, '-c', LEAVING, f'file://{tmp_path}/store']
    both = [
        subprocess.Popen([*line, str(rank), tmp_path / 'busy'], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    assert [process.communicate(timeout=60)[0] for process in both] == ['at exit\n'] * 2
    assert [process.returncode for process in both] == [3, 4]


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()[-3000:]
        assert time.monotonic() < end, 'it takes too long'
        time.sleep(0.2)


def start_long(folder):
    """Start a training of two processes and wait until it has saved something.

    torchrun looks at them every three seconds: on a busy machine it would else end the one before that has noticed
    that the other has died.
    """
    options = ['--cfg-options', *OPTIONS, 'train_cfg.max_epochs=1000', 'train_cfg.val_interval=1000']
    command = ['tools/train.py', RETINANET, '--work-dir', folder, '--save-every', 2]
    process = start(2, '--monitor-interval', 3, *command, *options, 'train_dataloader.batch_size=2')
    wait_for(lambda: (folder / 'iter_4.pth').exists() or (folder / 'epoch_3.pth').exists(), process)
    return process


def workers(process):
    """The process ids of the workers of a torchrun, by rank."""
    ids = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    return sorted(map(int, ids))


def resume(folder):
    """Go on in one process until the epoch after next ends."""
    done = max(int(path.stem.split('_')[1]) for path in folder.glob('epoch_*.pth'))
    options = ['--cfg-options', *OPTIONS, f'train_cfg.max_epochs={done + 2}', 'train_cfg.val_interval=1000']
    run(1, 'tools/train.py', RETINANET, '--work-dir', folder, '--resume', *options, 'train_dataloader.batch_size=4')
    assert (folder / f'epoch_{done + 2}.pth').exists()


def test_work_dirs_that_are_not_shared_are_refused(trained, tmp_path):
    for rank in (0, 1):
        (tmp_path / f'work{rank}').mkdir()
    (tmp_path / 'work0' / 'epoch_1.pth').write_bytes(trained.read_bytes())
    options = ' '.join(f"'{option}'" for option in OPTIONS)
    line = f'exec {sys.executable} tools/train.py {RETINANET} --work-dir {tmp_path}/work$RANK --resume auto'
    process = start(2, '--no-python', 'bash', '-c', f'{line} --cfg-options train_dataloader.batch_size=2 {options}')
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert 'would go on from different iterations (' in output, output[-3000:]


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='finds the processes in /proc, which only Linux has')
def test_a_worker_that_dies_ends_the_job_and_the_run_goes_on(tmp_path, capsys):
    process = start_long(tmp_path)
    ids = workers(process)
    assert train.main([RETINANET, '--work-dir', str(tmp_path), '--resume', 'auto']) == 2
    error = capsys.readouterr().err
    assert any(f'{tmp_path} is in use by the training of process {number} on ' in error for number in ids), error
    os.kill(ids[1], signal.SIGKILL)
    killed = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert 'Signal 9 (SIGKILL)' in output
    assert 'error: another process has died' in output
    assert time.monotonic() - killed < 60
    resume(tmp_path)


def test_sigterm_lets_all_processes_stop_in_order(tmp_path):
    process = start_long(tmp_path)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert output.count('stopped by SIGTERM after iteration') == 1, output[-3000:]
    resume(tmp_path)
