"""Repeat a small training of two processes and count the runs that do not end with exit code 0.

Several run at once, so that the machine is loaded and the two processes of a run end at different times. The exit code
is 0 if all runs ended well; otherwise the end of each bad run's output is printed.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mfdet.commands._run import check_at_least_one, command, new_parser

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/shapes/retinanet_mf26m.py'
OPTIONS = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=2'] + [
    f'{split}_dataloader.{option}'
    for split in ('train', 'val')
    for option in ('dataset.length=8', 'num_workers=0', 'persistent_workers=False')
]
EXAMPLE = """example:
  python tools/dev/exit_test.py --runs 100"""


def train(folder):
    """Train in a new folder; returns the exit code of torchrun and the output of all."""
    line = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    line += ['tools/train.py', CONFIG, '--work-dir', str(folder), '--cfg-options', *OPTIONS]
    done = subprocess.run(
        line,
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@command
def main(argv=None):
    """Parse the command line and run the test; returns the exit code."""
    parser = new_parser('exit_test.py', __doc__, EXAMPLE)
    parser.add_argument('--runs', type=int, default=20, help='how often to train (default: 20)')
    parser.add_argument('--at-once', type=int, default=4, help='how many at a time (default: 4)')
    args = parser.parse_args(argv)
    check_at_least_one(args, 'runs', 'at_once')
    start, bad = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.at_once) as pool:
        for run, (code, output) in enumerate(pool.map(train, (Path(folder, str(i)) for i in range(args.runs))), 1):
            if code or not Path(folder, str(run - 1), 'curves.png').exists():
                bad += 1
                print(f'run {run} ended with {code}:\n{output[-3000:]}')
            print(f'\r{run} runs, {bad} bad', end='', file=sys.stderr)
    print(f'\n{args.runs} runs of two processes, {bad} of them bad, in {(time.monotonic() - start) / 60:.0f} minutes')
    return int(bad > 0)


if __name__ == '__main__':
    sys.exit(main())
