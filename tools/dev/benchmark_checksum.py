"""Time the look at a file's checksums, by turns with loading the detector that is in it, which contains that look."""

import os

from mfdet.checksum import check_archive, check_exported
from mfdet.commands._run import check_at_least_one, command, new_parser
from mfdet.compat import check_environment

EXAMPLE = """example:
  python tools/dev/benchmark_checksum.py detector.onnx
  python tools/dev/benchmark_checksum.py epoch_12.pth --config configs/e2e_mf508m.py"""


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    parser = new_parser('benchmark_checksum.py', __doc__, EXAMPLE)
    parser.add_argument('file', help='checkpoint or exported detector')
    parser.add_argument('--config', help='config of a checkpoint, if it holds none')
    parser.add_argument('--repeats', type=int, default=7, help='timed calls of each (default 7)')
    args = parser.parse_args(argv)
    check_at_least_one(args, 'repeats')
    check_environment()
    import torch

    from mfdet.benchmark.timing import by_turns
    from mfdet.detector import load_detector

    checkpoint = args.file.endswith(('.pth', '.pt'))
    check = check_archive if checkpoint else check_exported
    functions = dict(loading=lambda: load_detector(args.file, args.config), checksums=lambda: check(args.file))
    if checkpoint:
        functions['torch.load'] = lambda: torch.load(args.file, weights_only=True)
    seconds = by_turns(functions, args.repeats, warmup=1)
    print(f'{args.file}: {os.path.getsize(args.file) / 1e6:.0f} MB')
    for name, median in seconds.items():
        print(f'{name:<12}{median:8.3f} s  {median / seconds["loading"]:6.1%}')


if __name__ == '__main__':
    raise SystemExit(main())
