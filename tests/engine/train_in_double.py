"""tools/train.py in float64, where rounding does not move values across the kinks of ReLU and of the matching.

Of several processes the first one draws its curves slowly, with SIGTERM coming to all, and is slow afterwards too; the
others say so if they leave before it is done.
"""

import atexit
import os
import signal
import sys
import time
from pathlib import Path

import torch

from mfdet.commands.train import main


def use_double():
    """Make weights and images float64."""
    from mmengine.model import ImgDataPreprocessor  # that of detectors builds on it

    torch.set_default_dtype(torch.float64)
    forward = ImgDataPreprocessor.forward

    def forward_in_double(self, data, training=False):
        data = forward(self, data, training)
        return {**data, 'inputs': data['inputs'].double()}

    ImgDataPreprocessor.forward = forward_in_double


def disturb():
    """Let SIGTERM come to all processes when only the last file is missing, and the first of them be the last."""
    from mfdet.engine import report
    from mfdet.engine.runner import ConsoleRunner

    folder = Path(sys.argv[sys.argv.index('--work-dir') + 1])
    draw, train = report.draw_curves, ConsoleRunner.train

    def draw_slowly(*args):
        time.sleep(1)
        parent = os.getppid()
        for pid in Path(f'/proc/{parent}/task/{parent}/children').read_text().split():
            os.kill(int(pid), signal.SIGTERM)
        time.sleep(0.5)
        return draw(*args)

    def train_slowly(self):
        train(self)
        if self.rank == 0:
            time.sleep(0.5)
            (folder / 'done').touch()

    def tell_if_early():
        if not (folder / 'done').exists():
            print('left early')

    report.draw_curves, ConsoleRunner.train = draw_slowly, train_slowly
    atexit.register(tell_if_early)


if __name__ == '__main__':
    use_double()
    if 'RANK' in os.environ and os.path.exists('/proc/self/task'):
        disturb()
    raise SystemExit(main())
