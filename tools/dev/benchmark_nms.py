"""Time non-maximum suppression on the CPU: this package's, torchvision's, mmcv's compiled one and OpenCV's.

Those not installed are left out. All get the same boxes, in turns; the ratios are to the first row.
"""

import importlib
import sys
from importlib.util import find_spec

import torch

import mfdet.compat.nms as compat_nms
from mfdet.benchmark.timing import by_turns
from mfdet.commands._run import check_at_least_one, command, new_parser

THRESHOLD = 0.5
EXAMPLE = """example:
  python tools/dev/benchmark_nms.py --boxes 5000"""


def random_boxes(count, seed):
    """Boxes (N, 4) with sides of 10 to 110 in a square of 1000, and their distinct scores (N,)."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 1000
    sides = torch.rand(count, 2, generator=generator) * 100 + 10
    scores = (torch.randperm(count, generator=generator) + 1) / (count + 1)
    return torch.cat([corner, corner + sides], 1), scores


def candidates(boxes, scores):
    """What is installed, compiled ones first: names and functions that return the indices of the kept boxes."""
    functions = {}
    if find_spec('mmcv'):
        extension = importlib.import_module('mmcv._ext')
        if extension.nms is not compat_nms.nms:
            functions['mmcv, compiled'] = lambda: extension.nms(boxes, scores, iou_threshold=THRESHOLD, offset=0)
    torchvision_nms = compat_nms._torchvision_nms('cpu')
    if torchvision_nms:
        functions['torchvision'] = lambda: torchvision_nms(boxes, scores, THRESHOLD)

    def ours():  # never through torchvision
        order = scores.sort(descending=True, stable=True).indices
        return compat_nms._greedy(boxes.numpy(), order.numpy(), THRESHOLD, 0)

    functions['mfdet'] = ours
    if find_spec('cv2'):
        suppress = importlib.import_module('cv2').dnn.NMSBoxes
        corners_and_sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).numpy()
        functions['OpenCV (not exact)'] = lambda: suppress(corners_and_sides, scores.numpy(), 0.0, THRESHOLD)
    return functions


@command
def main(argv=None):
    """Parse the command line, time every implementation and print the table."""
    parser = new_parser('benchmark_nms.py', __doc__, EXAMPLE)
    parser.add_argument('--boxes', type=int, default=5000, help='number of boxes (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=15, help='timed runs of each, of which the median is shown')
    parser.add_argument('--seed', type=int, default=0, help='of the random boxes (default: 0)')
    args = parser.parse_args(argv)
    check_at_least_one(args, 'boxes', 'repeats')
    functions = candidates(*random_boxes(args.boxes, args.seed))
    kept = {name: len(function()) for name, function in functions.items()}
    medians = by_turns(functions, args.repeats)
    base = next(iter(medians.values()))
    threads = torch.get_num_threads()
    print(f'{args.boxes} boxes, IoU threshold {THRESHOLD}, median of {args.repeats} runs, torch threads: {threads}')
    print(f'{"":20}{"ms":>10}{"ratio":>8}{"kept":>8}')
    for name, median in medians.items():
        print(f'{name:20}{1000 * median:10.2f}{median / base:8.2f}{kept[name]:8}')


if __name__ == '__main__':
    sys.exit(main())
