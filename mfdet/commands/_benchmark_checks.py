"""What the options of ``tools/benchmark.py`` must be, and what they name."""

import os

from mfdet.commands._run import check_at_least_one
from mfdet.errors import InputError
from mfdet.runtime.detector import check_threads


def check_options(args):
    """Check the numbers and names of the command line.

    Raises:
        InputError: one is wrong.
    """
    check_threads(args.threads)
    check_at_least_one(args, 'repeats', 'images', 'classes', 'batch_size', 'streams')
    sides = [side for name in ('sizes', 'size', 'shape') for side in getattr(args, name, None) or [32]]
    if min(sides) < 32:
        raise InputError(f'sizes are in pixels and at least 32, got {min(sides)}')
    if any(side % 32 for side in getattr(args, 'sizes', [])):
        raise InputError('--sizes must be multiples of 32, as exported models take them')
    if args.kind == 'table' and not args.latency and (args.runtimes or args.precision):
        raise InputError('--runtimes and --precision are of what is timed; give --latency with them')
    if args.kind == 'gpu':
        from mfdet.benchmark.gpu import check_gpu

        check_gpu(args.runtimes)
    elif hasattr(args, 'runtimes'):
        from mfdet.benchmark.runtimes import PHONES, check_runtimes, with_precisions

        several = max(getattr(args, 'streams', [1])) > 1
        args.runtimes = args.runtimes or [*([] if several else ['eager']), 'onnxruntime', 'openvino']
        check_runtimes(args.runtimes, args.kind == 'detectors')
        if several:
            check_streams(args)
        single = [runtime for runtime in PHONES if runtime in args.runtimes]
        if args.kind == 'detectors' and max(args.batch_size) > 1 and single:
            raise InputError(f'--runtimes {" and ".join(single)} run single images; leave out --batch-size')
        args.runtimes = with_precisions(args.runtimes, args.precision or ['fp32'])
    if not getattr(args, 'equal_accuracy', 0) >= 0:
        raise InputError(f'--equal-accuracy must be 0 or more points, got {args.equal_accuracy}')
    if args.kind == 'loading' and min(args.workers) < 0:
        raise InputError(f'--workers must be 0 or more, got {min(args.workers)}')
    if args.kind == 'ablations':
        check_ablations(args)
    if args.kind == 'train':
        check_training(args)
    if args.kind in ('detectors', 'train', 'gpu'):
        named_configs(args.models)
    if getattr(args, 'clock', 'wall') == 'cpu' and args.threads > 1:
        raise InputError('--clock cpu adds up the time of all threads; it goes with --threads 1')
    if args.kind in ('latency', 'limit'):
        from mfdet.benchmark.peers import BACKBONES

        for name in args.models or []:
            if name not in BACKBONES:
                raise InputError(f'--models {name}: the backbones are {", ".join(BACKBONES)}')
    if args.kind == 'latency':
        largest_sizes(args)


def check_ablations(args):
    """Check the options of ``ablations``.

    Raises:
        InputError: one is wrong.
    """
    from mfdet.benchmark.ablations import VARIANTS

    for name in args.rows or []:
        if name not in VARIANTS:
            raise InputError(f'--rows {name}: the rows are {", ".join(VARIANTS)}')
    check_at_least_one(args, 'epochs')
    if min(args.seeds) < 0 or len(set(args.seeds)) < len(args.seeds):
        raise InputError(f'--seeds must be different numbers from 0 up, got {" ".join(map(str, args.seeds))}')
    if args.train is None and (args.epochs or args.cfg_options or data_words(args)):
        raise InputError('--epochs, --cfg-options and the data are of a training; name its config with --train')


def check_streams(args):
    """Check ``--streams``.

    Raises:
        InputError: they are no equal shares of the threads, or a runtime has none.
    """
    for count in args.streams:
        if args.threads % count:
            raise InputError(f'--streams {count}: --threads {args.threads} cannot be shared out among them equally')
    without = [name for name in args.runtimes if name not in ('onnxruntime', 'openvino')]
    if without:
        raise InputError(f'--streams are of onnxruntime and openvino; leave {" and ".join(without)} out of --runtimes')


def check_training(args):
    """Check the options of ``train``, and set the default of ``--precision``.

    Raises:
        InputError: one is wrong.
    """
    import torch

    cuda = torch.cuda.is_available()
    args.precision = args.precision or ['fp16' if cuda else 'fp32']
    if len(args.size) > 2:
        raise InputError(f'--size is one side or height and width, got {len(args.size)} numbers')
    if not cuda and args.precision != ['fp32']:
        raise InputError(f'--precision {" ".join(args.precision)} needs a GPU, and there is none; leave it out')


def largest_sizes(args):
    """Return the sizes of ``--up-to`` by the names of backbones.

    Raises:
        InputError: one is not written so, or such a backbone is not timed.
    """
    from mfdet.benchmark.peers import BACKBONES

    largest = {}
    for word in args.up_to:
        name, _, size = word.partition('=')
        if name not in (args.models or BACKBONES) or not size.isdecimal():
            raise InputError(f'--up-to {word}: must be NAME=SIZE, a backbone that is timed and a side in pixels')
        largest[name] = int(size)
    return largest


def named_configs(names):
    """Return the configs of a command line by the names they get in tables.

    Raises:
        InputError: there is none of a name, or two would get the same.
    """
    from mfdet.engine.find_config import find_config

    paths = list(dict.fromkeys(find_config(name) for name in names))
    configs = {os.path.splitext(os.path.basename(path))[0]: path for path in paths}
    if len(configs) < len(paths):
        raise InputError(f'--models: two files are called alike in {" ".join(names)}; time them one after the other')
    return configs


def data_words(args):
    """Return the options that name the data, as words of a command line."""
    options = ('--data-root', *(f'--{split}-{what}' for split in ('train', 'val') for what in ('ann', 'images')))
    given = {option: getattr(args, option[2:].replace('-', '_')) for option in options}
    return [word for option, value in given.items() if value is not None for word in (option, value)]
