"""Kill a small training at random moments until it is done, and compare it with one that was left alone.

It trains on generated images, with a checkpoint every few iterations; SIGKILL comes without warning, also while a
checkpoint is being written. Prints the numbers of kills and resumes, of checkpoints that cannot be read, and whether
the final weights are equal bit by bit; the exit code is 0 if they are and nothing was lost.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from mfdet.commands._run import check_at_least_one, command, new_parser
from mfdet.engine.checkpoint import check_resumable
from mfdet.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/shapes/retinanet_mf26m.py'
EXAMPLE = """example:
  python tools/dev/kill_test.py --kills 100"""


def train(folder, epochs, length, resume):
    """Start the training as a process of its own."""
    options = [
        f'train_cfg.max_epochs={epochs}',
        f'train_cfg.val_interval={epochs}',
        f'train_dataloader.dataset.length={length}',
        'train_dataloader.batch_size=2',
        'val_dataloader.dataset.length=2',
        'model.backbone.drop_path_rate=0.2',
    ]
    line = [sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(folder), '--save-every', '3']
    line += ['--resume'] if resume else []
    return subprocess.Popen(
        [*line, '--cfg-options', *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def damaged(folder):
    """Return the checkpoints in a folder, by their final names, that cannot be resumed from."""
    found = []
    for path in [*folder.glob('epoch_*.pth'), *folder.glob('iter_*.pth')]:
        try:
            check_resumable(str(path))
        except InputError:
            found.append(path.name)
    return found


def finish(process):
    """Wait for a process that should succeed."""
    _, errors = process.communicate()
    if process.returncode:
        raise InputError(f'the training failed with exit code {process.returncode}: {errors.decode()[-500:]}')


def equal(first, second):
    """Tell whether two checkpoints hold the same weights, bit by bit."""
    first, second = (torch.load(path, weights_only=True)['state_dict'] for path in (first, second))
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


@command
def main(argv=None):
    """Parse the command line and run the test; returns the exit code."""
    parser = new_parser('kill_test.py', __doc__, EXAMPLE)
    parser.add_argument('--kills', type=int, default=20, help='how often to kill (default: 20)')
    parser.add_argument('--epochs', type=int, default=3, help='length of the training (default: 3)')
    parser.add_argument('--length', type=int, default=60, help='images of an epoch, two in a batch (default: 60)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: 0)')
    args = parser.parse_args(argv)
    check_at_least_one(args, 'kills', 'epochs', 'length')
    moments = random.Random(args.seed)
    kills = resumes = lost = runs = unequal = 0
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder, 'alone')
        start = time.monotonic()
        finish(train(alone, args.epochs, args.length, False))
        duration = time.monotonic() - start
        last = f'epoch_{args.epochs}.pth'
        while kills < args.kills:
            work = Path(folder, f'run{runs}')
            runs += 1
            work.mkdir()
            while not (work / last).exists():
                resume = any(work.glob('[ei]*.pth'))
                resumes += resume
                process = train(work, args.epochs, args.length, resume)
                try:
                    process.wait(moments.uniform(0.2, 1.0) * duration if kills < args.kills else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    kills += 1
                _, errors = process.communicate()
                if process.returncode > 0:
                    raise InputError(f'run {runs} failed on its own: {errors.decode()[-500:]}')
                lost += len(damaged(work))
            unequal += not equal(alone / last, work / last)
    print(
        f'{kills} kills, {resumes} resumes, {runs} runs, {lost} damaged checkpoints, {unequal} runs with other weights'
    )
    return int(bool(lost or unequal))


if __name__ == '__main__':
    sys.exit(main())
