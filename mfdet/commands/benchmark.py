"""Measure speed by turns in one process; tables of detectors and of the paper's ablations."""

import argparse
import os
import shlex
import sys

from mfdet.commands._benchmark_checks import check_options, data_words, largest_sizes, named_configs
from mfdet.commands._run import TORCH_PRECISIONS, add_config_options, command, new_parser, program
from mfdet.commands.train import add_data_options
from mfdet.compat import check_environment
from mfdet.files import make_folder

EXAMPLE = """examples:
  %(prog)s latency --sizes 224 512 800
  %(prog)s detectors --runtimes onnxruntime openvino --precision fp32 int8
  %(prog)s detectors --models small/retinanet_mf151m --shape 320 320 --threads 8 --streams 1 8 --batch-size 1 4 16
  %(prog)s train --models retinanet_mf151m peers/retinanet_r18 --size 320
  %(prog)s gpu --models e2e_mf508m peers/detr_r50 --batch-size 1 8 32
  %(prog)s eval --images 5000
  %(prog)s loading --data-root imagenet --workers 0 4 8
  %(prog)s table --ap work_dirs/retinanet_mf151m
  %(prog)s ablations
  %(prog)s ablations --train configs/shapes/e2e_paper_mf26m.py --epochs 4 --seeds 0 1 2 --rows e2e e2e-1-scale"""
DETECTORS = ('retinanet_mf508m', 'e2e_mf508m', 'peers/retinanet_r18', 'peers/retinanet_r50', 'peers/detr_r50')


def build_parser():
    """Return the argument parser."""
    parser = new_parser('benchmark', __doc__, EXAMPLE)
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='WHAT')
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument('--threads', type=int, default=1, help='CPU threads (default: 1)')
    every.add_argument('--out', default='work_dirs/benchmark', metavar='DIR', help='folder for tables and plots')
    shared = argparse.ArgumentParser(add_help=False, parents=[every])
    shared.add_argument('--repeats', type=int, default=15, help='timed runs, of which the median counts (default: 15)')
    runtimes = argparse.ArgumentParser(add_help=False)
    runtimes.add_argument(
        '--clock',
        default='wall',
        choices=('wall', 'cpu'),
        help='cpu: the processor time of this process, for a machine that does other work as well (default: wall)',
    )
    runtimes.add_argument(
        '--runtimes',
        nargs='+',
        help='of eager, compile, onnxruntime, openvino; for detectors litert and executorch as well (default: eager, '
        'onnxruntime, openvino)',
    )
    runtimes.add_argument(
        '--precision',
        nargs='+',
        choices=('fp32', 'int8', 'bf16', 'int8-bf16'),
        help='int8: convolutions in INT8 (all but eager and compile); bf16, int8-bf16: all or the rest in bfloat16 '
        '(openvino) (default: fp32)',
    )
    add = kinds.add_parser
    latency = add('latency', parents=[shared, runtimes], help='backbones over image sizes, with a plot')
    latency.add_argument('--models', nargs='+', metavar='NAME', help='backbones (default: all)')
    latency.add_argument('--sizes', nargs='+', type=int, default=[224, 384, 512, 800], help='sides in pixels')
    latency.add_argument('--reference', default='MobileNetV3-Large', help='model that ratios are to')
    latency.add_argument(
        '--up-to',
        nargs='+',
        default=[],
        metavar='NAME=SIZE',
        help='largest side to time a backbone at: attention over large maps takes gigabytes',
    )
    latency.add_argument(
        '--equal-accuracy',
        type=float,
        default=1.2,
        metavar='P',
        help='put each Mobile-Former beside peers whose published top-1 is within P points (default: 1.2)',
    )
    limit = add('limit', parents=[shared], help="multiply-adds over the machine's rate")
    limit.add_argument('--models', nargs='+', metavar='NAME', help='backbones (default: all)')
    limit.add_argument('--sizes', nargs='+', type=int, default=[224, 384, 512, 800], help='sides in pixels')
    detectors = add('detectors', parents=[shared, runtimes], help='whole detectors')
    configs = 'config files, or names of shipped ones such as peers/detr_r50'
    detectors.add_argument('--models', nargs='+', default=DETECTORS, metavar='CONFIG', help=configs)
    detectors.add_argument(
        '--shape', type=int, nargs=2, default=(800, 1333), metavar=('H', 'W'), help='image in pixels'
    )
    detectors.add_argument(
        '--batch-size', type=int, nargs='+', default=[1], metavar='N', help='images at a time (default: 1)'
    )
    detectors.add_argument(
        '--streams',
        type=int,
        nargs='+',
        default=[1],
        metavar='N',
        help='batches at once, each on its share of --threads, for the throughput of all cores; of onnxruntime and '
        'openvino (default: 1)',
    )
    train = add('train', parents=[shared], help='training steps')
    train.add_argument('--models', nargs='+', default=DETECTORS, metavar='CONFIG', help=configs)
    train.add_argument(
        '--size',
        type=int,
        nargs='+',
        default=[320],
        metavar='N',
        help='side, or height and width, in pixels (default: 320)',
    )
    train.add_argument(
        '--precision',
        nargs='+',
        choices=TORCH_PRECISIONS,
        help='16 bits, mixed, on a GPU alone (default: fp16 on a GPU, fp32 without)',
    )
    train.add_argument('--batch-size', type=int, default=4, help='images of a step (default: 4)')
    gpu = add('gpu', parents=[shared], help='whole detectors on a GPU')
    gpu.add_argument('--models', nargs='+', default=DETECTORS, metavar='CONFIG', help=configs)
    gpu.add_argument('--shape', type=int, nargs=2, default=(800, 1333), metavar=('H', 'W'), help='images in pixels')
    gpu.add_argument(
        '--runtimes',
        nargs='+',
        default=['eager', 'cuda-graph'],
        help='of eager, channels-last, cuda-graph, cuda-graph-channels-last, compile (default: eager, cuda-graph)',
    )
    gpu.add_argument(
        '--precision',
        nargs='+',
        choices=TORCH_PRECISIONS,
        default=['fp32', 'fp16'],
        help='(default: fp32, fp16)',
    )
    gpu.add_argument('--batch-size', type=int, nargs='+', default=[1, 16], help='images at a time (default: 1 16)')
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
    loading = add('loading', parents=[shared], help="a classifier's loader alone, and other ways to read JPEG files")
    loading.add_argument(
        '--config', default='configs/imagenet/mobile_former_294m.py', help='of a classifier (default: 294M on ImageNet)'
    )
    loading.add_argument('--data-root', metavar='DIR', help='folder that holds train/<class>/ (default: generated)')
    loading.add_argument(
        '--shape', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'), help='of generated images in pixels'
    )
    loading.add_argument('--images', type=int, default=256, help='images of a pass at most (default: 256)')
    loading.add_argument('--batch-size', type=int, default=32, help='images of a batch (default: 32)')
    loading.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2], help='worker processes (default: 0 1 2)')
    ablations = add('ablations', parents=[every], help="the paper's ablations: parameters, MAdds, and trainings")
    ablations.add_argument('--rows', nargs='+', metavar='NAME', help='of the table (default: all)')
    ablations.add_argument('--train', metavar='CONFIG', help='train each row that fits this config, on its data')
    ablations.add_argument('--epochs', type=int, metavar='N', help="of a training (default: the config's)")
    ablations.add_argument(
        '--seeds', type=int, nargs='+', default=[0], metavar='S', help='of the trainings (default: 0)'
    )
    add_data_options(ablations, ('train', 'val'))
    add_config_options(ablations, 'override entries of the config of --train')
    return parser


def run(args):
    """Measure; returns columns, rows and notes."""
    if args.kind in ('latency', 'limit'):
        from mfdet.benchmark import latency, limit
        from mfdet.benchmark.peers import BACKBONES

        names = args.models or list(BACKBONES)
        if args.kind == 'limit':
            return limit.COLUMNS, *limit.measure_limit(names, args.sizes, args.threads, args.repeats)
        from mfdet.benchmark.equal_accuracy import notes_of, plot_equal_accuracy

        timing = args.threads, args.repeats, args.reference, args.clock, largest_sizes(args)
        rows, notes = latency.measure_latency(names, args.sizes, args.runtimes, *timing)
        latency.plot_latency(rows, args.reference, os.path.join(args.out, 'latency.png'))
        plot_equal_accuracy(rows, args.equal_accuracy, os.path.join(args.out, 'equal_accuracy.png'))
        return latency.COLUMNS, rows, [*notes, *notes_of(rows, args.equal_accuracy)]
    if args.kind == 'table':
        from mfdet.benchmark import table

        runtimes = args.runtimes if args.latency else []
        columns, rows, notes = table.measure_table(
            args.models, args.shape, args.ap, runtimes, args.threads, args.repeats, args.clock
        )
        table.plot_table(rows, os.path.join(args.out, 'table.png'), f'{args.threads} CPU thread(s), best runtime')
        return columns, rows, notes
    if args.kind == 'eval':
        from mfdet.benchmark import evaluation

        return evaluation.COLUMNS, *evaluation.measure_evaluation(args.images, args.classes, args.repeats)
    if args.kind == 'ablations':
        return run_ablations(args)
    if args.kind == 'loading':
        from mfdet.benchmark import loading
        from mfdet.engine.config import load_config

        data = args.data_root, tuple(args.shape), args.images, args.batch_size
        measured = loading.measure_loading(load_config(args.config), *data, args.workers, args.threads, args.repeats)
        return loading.COLUMNS, *measured
    configs = named_configs(args.models)
    if args.kind == 'train':
        from mfdet.benchmark import training

        size = (args.size[0], args.size[-1])
        timing = args.batch_size, args.threads, args.repeats, args.precision
        return training.COLUMNS, *training.measure_training(configs, size, *timing)
    if args.kind == 'gpu':
        from mfdet.benchmark import gpu

        chosen = args.runtimes, args.precision, args.batch_size
        return gpu.COLUMNS, *gpu.measure_gpu(configs, tuple(args.shape), *chosen, args.threads, args.repeats)
    from mfdet.benchmark import detectors

    shape = tuple(args.shape)
    timing = args.threads, args.repeats, args.clock, args.batch_size, args.streams
    return detectors.COLUMNS, *detectors.measure_detectors(configs, shape, args.runtimes, *timing)


def run_ablations(args):
    """Weigh the rows of the paper's ablations, and train them if asked for; returns columns, rows and notes."""
    from mfdet.benchmark import ablations
    from mfdet.engine.config import load_config

    names, task = list(dict.fromkeys(args.rows or ablations.VARIANTS)), None
    if args.train is not None:
        config = load_config(args.train, args.cfg_options)
        folder = os.path.join(args.out, 'ablations', os.path.splitext(os.path.basename(config.filename))[0])
        task = ablations.Task(config, args.epochs, args.seeds, data_words(args), folder, args.threads)
    return ablations.measure_ablations(names, task)


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
