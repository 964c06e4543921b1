"""Measure speed by turns in one process: backbones, detectors, training, evaluation, the machine's limit; and make the
table of ours and other detectors."""

import argparse
import os
import shlex
import sys

from mfdet.commands._run import check_at_least_one, command, new_parser, program
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import make_folder
from mfdet.runtime.detector import check_threads

EXAMPLE = """examples:
  %(prog)s latency --sizes 224 512 800
  %(prog)s detectors --runtimes onnxruntime openvino
  %(prog)s train --models configs/retinanet_mf151m.py RetinaNet-R18 --size 320
  %(prog)s eval --images 5000
  %(prog)s table --ap work_dirs/retinanet_mf151m"""
DETECTORS = ('configs/retinanet_mf508m.py', 'configs/e2e_mf508m.py', 'RetinaNet-R18', 'RetinaNet-R50', 'DETR-R50')


def build_parser():
    """Return the argument parser."""
    parser = new_parser('benchmark', __doc__, EXAMPLE)
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='WHAT')
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument('--threads', type=int, default=1, help='CPU threads (default: 1)')
    shared.add_argument('--repeats', type=int, default=15, help='timed runs, of which the median counts (default: 15)')
    shared.add_argument('--out', default='work_dirs/benchmark', metavar='DIR', help='folder for tables and plots')
    runtimes = argparse.ArgumentParser(add_help=False)
    runtimes.add_argument(
        '--runtimes',
        nargs='+',
        default=['eager', 'onnxruntime', 'openvino'],
        help='of eager, compile, onnxruntime, openvino',
    )
    add = kinds.add_parser
    latency = add('latency', parents=[shared, runtimes], help='backbones over image sizes, with a plot')
    latency.add_argument('--models', nargs='+', metavar='NAME', help='backbones (default: all)')
    latency.add_argument('--sizes', nargs='+', type=int, default=[224, 384, 512, 800], help='sides in pixels')
    latency.add_argument('--reference', default='MobileNetV3-Large', help='model that ratios are to')
    limit = add('limit', parents=[shared], help="multiply-adds over the machine's rate")
    limit.add_argument('--models', nargs='+', metavar='NAME', help='backbones (default: all)')
    limit.add_argument('--sizes', nargs='+', type=int, default=[224, 384, 512, 800], help='sides in pixels')
    detectors = add('detectors', parents=[shared, runtimes], help="whole detectors, beside mmdet's")
    detectors.add_argument(
        '--models', nargs='+', default=DETECTORS, metavar='M', help='config files, or RetinaNet-R18, ...'
    )
    detectors.add_argument(
        '--shape', type=int, nargs=2, default=(800, 1333), metavar=('H', 'W'), help='image in pixels'
    )
    train = add('train', parents=[shared], help='training steps')
    train.add_argument(
        '--models', nargs='+', default=DETECTORS, metavar='M', help='config files, or RetinaNet-R18, ...'
    )
    train.add_argument('--size', type=int, default=320, help='side of the images in pixels (default: 320)')
    train.add_argument('--batch-size', type=int, default=4, help='images of a step (default: 4)')
    evaluation = add('eval', parents=[shared], help='evaluators of COCO metrics')
    evaluation.add_argument('--images', type=int, default=5000, help='generated images (default: 5000)')
    evaluation.add_argument('--classes', type=int, default=80, help='classes (default: 80)')
    table = add('table', parents=[shared, runtimes], help='ours and other detectors: cost, AP, latency, with a plot')
    table.add_argument('--models', nargs='+', metavar='NAME', help='detectors of the table (default: all)')
    table.add_argument(
        '--shape', type=int, nargs=2, metavar=('H', 'W'), help='image in pixels (default: as published for each)'
    )
    table.add_argument('--latency', action='store_true', help='time those that have a config here, exported (long)')
    table.add_argument('--ap', nargs='+', default=[], metavar='DIR', help="work directories of one's own runs")
    return parser


def check_options(args):
    """Check the numbers and names of the command line.

    Raises:
        InputError: one is wrong.
    """
    check_threads(args.threads)
    check_at_least_one(args, 'repeats', 'images', 'classes', 'batch_size')
    sides = [*getattr(args, 'sizes', []), getattr(args, 'size', 32), *(getattr(args, 'shape', None) or [])]
    if min(sides) < 32:
        raise InputError(f'sizes are in pixels and at least 32, got {min(sides)}')
    if any(side % 32 for side in getattr(args, 'sizes', [])):
        raise InputError('--sizes must be multiples of 32, as exported models take them')
    if hasattr(args, 'runtimes'):
        from mfdet.benchmark.runtimes import check_runtimes

        check_runtimes(args.runtimes)
    if args.kind in ('detectors', 'train'):
        from mfdet.benchmark.detectors import PEERS

        for name in args.models:
            if name not in PEERS and not os.path.isfile(name):
                raise InputError(f'--models {name}: is neither a config file nor one of {", ".join(PEERS)}')
    if args.kind in ('latency', 'limit'):
        from mfdet.benchmark.peers import BACKBONES

        for name in args.models or []:
            if name not in BACKBONES:
                raise InputError(f'--models {name}: the backbones are {", ".join(BACKBONES)}')


def run(args):
    """Measure; returns columns, rows and notes."""
    if args.kind in ('latency', 'limit'):
        from mfdet.benchmark import latency, limit
        from mfdet.benchmark.peers import BACKBONES

        names = args.models or list(BACKBONES)
        if args.kind == 'limit':
            return limit.COLUMNS, *limit.measure_limit(names, args.sizes, args.threads, args.repeats)
        measured = latency.measure_latency(names, args.sizes, args.runtimes, args.threads, args.repeats, args.reference)
        latency.plot_latency(measured[0], args.reference, os.path.join(args.out, 'latency.png'))
        return latency.COLUMNS, *measured
    if args.kind == 'table':
        from mfdet.benchmark import table

        runtimes = args.runtimes if args.latency else []
        columns, rows, notes = table.measure_table(
            args.models, args.shape, args.ap, runtimes, args.threads, args.repeats
        )
        table.plot_table(rows, os.path.join(args.out, 'table.png'), f'{args.threads} CPU thread(s), best runtime')
        return columns, rows, notes
    if args.kind == 'eval':
        from mfdet.benchmark import evaluation

        return evaluation.COLUMNS, *evaluation.measure_evaluation(args.images, args.classes, args.repeats)
    configs = {
        os.path.splitext(os.path.basename(name))[0] if os.path.isfile(name) else name: name for name in args.models
    }
    if args.kind == 'train':
        from mfdet.benchmark import training

        rows, notes = training.measure_training(configs, args.size, args.batch_size, args.threads, args.repeats)
        return training.COLUMNS, rows, notes
    from mfdet.benchmark import detectors

    shape = tuple(args.shape)
    return detectors.COLUMNS, *detectors.measure_detectors(configs, shape, args.runtimes, args.threads, args.repeats)


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(argv)
    import mfdet.register  # noqa: F401
    from mfdet.benchmark.timing import machine, write_report

    check_options(args)
    make_folder(args.out, '--out')
    columns, rows, notes = run(args)
    line = f'{program("benchmark")} {shlex.join(argv)}'
    print(write_report(args.out, args.kind, line, machine(args.threads), columns, rows, notes))
