"""Watch the memory of a long training and of many predictions (Linux).

Trains a small detector on generated images for some thousand iterations and then predicts with it, reading the resident
memory from /proc all along. Growth is the median of the last tenth over that of the second tenth, the first being the
start-up. The exit code is 1 if either grows by more than 2 %.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mfdet.commands._run import command, new_parser
from mfdet.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/shapes/retinanet_mf26m.py'
EXAMPLE = """example:
  python tools/dev/memory_test.py --iterations 3000 --predictions 5000"""


def resident(pid):
    """Return the resident memory of a process in MB; 0 if it has ended."""
    try:
        pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


def growth(samples):
    """Return the memory of the second tenth, of the last tenth, and the growth between them."""
    tenth = max(1, len(samples) // 10)
    early, late = statistics.median(samples[tenth : 2 * tenth]), statistics.median(samples[-tenth:])
    return early, late, late / early - 1


def train(folder, iterations):
    """Train in a process of its own; returns the samples of its memory while it iterated."""
    options = [
        f'train_dataloader.dataset.length={2 * iterations}',
        'train_dataloader.dataset.image_size=(64,64)',
        'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'val_dataloader.dataset.length=8',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
    ]
    line = [sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(folder), '--save-every', '100']
    log = Path(folder, 'output.txt')
    with log.open('w') as file:
        process = subprocess.Popen([*line, '--cfg-options', *options], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        samples = []
        while process.poll() is None:
            time.sleep(0.5)
            if any('Epoch(train)' in path.read_text() for path in Path(folder).glob('*/*.log')):
                samples.append(resident(process.pid))
    if process.returncode:
        raise InputError(f'the training failed: {log.read_text()[-500:]}')
    return [sample for sample in samples if sample]


def predict(folder, predictions):
    """Predict on generated images; returns the samples of this process's memory."""
    from mfdet.data.shapes import generate
    from mfdet.detector import load_detector

    detector = load_detector(str(folder / 'epoch_1.pth'))
    pictures = [generate(i, seed=3, size=(96 + 8 * (i % 5), 128)).image for i in range(20)]
    samples = []
    for i in range(predictions):
        detector(pictures[i % len(pictures)])
        if i % 10 == 0:
            samples.append(resident(os.getpid()))
    return samples


@command
def main(argv=None):
    """Parse the command line and run the test; returns the exit code."""
    parser = new_parser('memory_test.py', __doc__, EXAMPLE)
    parser.add_argument('--iterations', type=int, default=3000, help='of the training (default: 3000)')
    parser.add_argument('--predictions', type=int, default=5000, help='images to predict (default: 5000)')
    args = parser.parse_args(argv)
    if not Path('/proc/self/statm').exists():
        raise InputError('memory_test.py reads /proc, which only Linux has')
    if min(args.iterations, args.predictions) < 100:
        raise InputError('--iterations and --predictions must be at least 100')
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        found = {f'{args.iterations} training iterations': train(Path(folder), args.iterations)}
        found[f'{args.predictions} predictions'] = predict(Path(folder), args.predictions)
    for name, samples in found.items():
        early, late, more = growth(samples)
        worst = max(worst, more)
        print(f'{name}: {early:.0f} MB early, {late:.0f} MB late, growth {100 * more:+.2f} %')
    return int(worst > 0.02)


if __name__ == '__main__':
    sys.exit(main())
