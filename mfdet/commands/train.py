"""Train a detector or a classifier."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from mfdet.commands._run import add_config_options, check_at_least_one, command, new_parser
from mfdet.commands._task import task_of
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import make_folder

EXAMPLE = """examples:
  %(prog)s configs/shapes/retinanet_mf26m.py
  %(prog)s configs/retinanet_mf508m.py --backbone-weights mobile-former-508m.pth.tar
  %(prog)s configs/small/retinanet_mf151m.py --data-root cells \\
      --train-ann train.json --train-images images --val-ann val.json --val-images images
  %(prog)s configs/small/retinanet_mf151m_finetune.py --load-from best.pth ...
  %(prog)s configs/imagenet/mobile_former_26m.py --data-root imagenet"""

LAST_STAGE = 4  # of the backbones here, counted from 0
RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')  # variables of the launchers


def add_data_options(parser, splits):
    """Add ``--data-root`` and, for each of ``splits``, ``--<split>-ann`` and ``--<split>-images``."""
    parser.add_argument('--data-root', metavar='DIR', help="folder of the data, in place of the config's")
    for split in splits:
        parser.add_argument(f'--{split}-ann', metavar='FILE', help=f'{split} annotations, COCO JSON, under the root')
        parser.add_argument(f'--{split}-images', metavar='DIR', help=f'{split} images, under the root')


def add_common_options(parser):
    """Add the options that training and testing share."""
    parser.add_argument('--work-dir', metavar='DIR', help='where results go (default work_dirs/<config>)')
    add_config_options(parser, 'override config entries')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='pytorch' if 'TORCHELASTIC_RUN_ID' in os.environ else 'none',
        help='of several processes; torchrun is recognised',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)


def default_work_dir(config_file):
    """Return work_dirs/ and the config's path below ``configs``, or its bare name if it lies elsewhere."""
    parts = Path(os.path.abspath(config_file)).with_suffix('').parts
    below = len(parts) - parts[::-1].index('configs') if 'configs' in parts[:-1] else -1
    return os.path.join('work_dirs', *parts[below:])


def prepare(config, args):
    """Apply the options of :func:`add_common_options` to a config."""
    import torch

    if args.launcher in ('slurm', 'mpi') and not torch.cuda.is_available():
        raise InputError(
            f'--launcher {args.launcher} is for GPUs, and there is none; on CPUs start with torchrun, on each node'
        )
    rank = RANKS.get(args.launcher)
    if rank and rank not in os.environ:
        raise InputError(f'--launcher {args.launcher}: {rank} is not set; start with torchrun, srun or mpirun')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config.launcher = args.launcher
    config.work_dir = args.work_dir or config.get('work_dir') or default_work_dir(config.filename)
    if args.launcher == 'pytorch' and not torch.cuda.is_available():
        # mmengine would ask for a GPU here; it leaves a process group that is there alone.
        torch.distributed.init_process_group('gloo')
        sync_bn = bool(config.pop('sync_bn', None))
        config.model_wrapper_cfg = dict(type='CPUDistributedDataParallel', sync_bn=sync_bn)
    make_folder(config.work_dir, '--work-dir')


def build_parser():
    """Return the argument parser."""
    parser = new_parser('train', __doc__, EXAMPLE)
    parser.usage = '%(prog)s [options] config'  # all of them fill a screen by themselves
    parser.add_argument('config', help='config file, such as configs/retinanet_mf508m.py')
    add_data_options(parser, ('train', 'val'))
    parser.add_argument('--backbone-weights', metavar='FILE', help='released or converted ImageNet weights')
    parser.add_argument(
        '--load-from',
        metavar='FILE',
        help='start from a detector trained on other images, or from e2e_plus_mf26m_shapes, which comes with mfdet',
    )
    parser.add_argument('--freeze', metavar='N', help='do not train the backbone, or its stages 0 to N')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='latest',
        metavar='CKPT',
        help='go on from CKPT or the latest; "auto": start if none',
    )
    parser.add_argument('--epochs', type=int, metavar='N', help='epochs; the schedule is stretched or shortened')
    parser.add_argument('--batch-size', type=int, metavar='N', help='images of a step, in each process')
    parser.add_argument('--image-size', type=int, metavar='N', help='longer side of the images in pixels')
    parser.add_argument('--early-stop', type=int, metavar='N', help='end after N validations without a better one')
    parser.add_argument('--tensorboard', action='store_true', help='log to TensorBoard too')
    parser.add_argument('--wandb', action='store_true', help='log to Weights & Biases too')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--sync-bn', action='store_true', help='BatchNorm over all processes')
    parser.add_argument('--auto-scale-lr', action='store_true', help="scale the rate to the batch, from the config's")
    parser.add_argument('--allow-bad-boxes', action='store_true', help='leave out wrong boxes in place of stopping')
    parser.add_argument(
        '--save-every', type=int, metavar='N', help='a checkpoint every N iterations too (default: epochs)'
    )
    parser.add_argument(
        '--on-nonfinite',
        choices=('stop', 'skip'),
        help='at a loss or gradient that is not finite',
    )
    add_common_options(parser)
    return parser


def build_config(args):
    """Turn parsed options into the config of the run, all of it checked but where it starts.

    Returns:
        The config, the module of :func:`mfdet.commands._task.task_of`, and what its ``prepare_training`` returned.

    Raises:
        InputError: an option, the config or the data is wrong.
    """
    from mfdet.config_parts import backbone_of
    from mfdet.engine.config import load_config
    from mfdet.weights.pretrained import find_weights

    config = load_config(args.config, args.cfg_options)
    task = task_of(config, 'train')
    set_plain_numbers(config, args)
    counts = task.prepare_training(config, args)
    if args.sync_bn:
        config.sync_bn = 'torch'
    prepare(config, args)
    if args.backbone_weights is not None:
        if not os.path.isfile(args.backbone_weights):
            raise InputError(
                f'{args.backbone_weights or "the empty name"}: no such checkpoint file (--backbone-weights); without '
                'it training starts from scratch'
            )
        backbone_of(config.model).init_cfg = dict(type='Pretrained', checkpoint=args.backbone_weights)
    if args.load_from is not None:
        args.load_from = find_weights(args.load_from, '--load-from')
    elif args.backbone_weights is not None and not config.get('resume'):
        config.load_from = None  # what is asked for goes before what the config has
    elif config.get('load_from') and not config.get('resume'):
        config.load_from = find_weights(config.load_from, f'load_from of {args.config}')
    if args.freeze is not None:
        freeze(config, args.freeze)
    if args.amp:
        import torch

        if not torch.cuda.is_available():
            raise InputError('--amp needs a GPU, and there is none; leave it out to train on the CPU in float32')
        config.optim_wrapper.type = 'AmpOptimWrapper'
        config.optim_wrapper.loss_scale = 'dynamic'
    if args.save_every is not None:
        check_at_least_one(args, 'save_every')
        config.custom_hooks = [
            *config.get('custom_hooks', []),
            dict(type='IterationCheckpointHook', interval=args.save_every),
        ]
    if args.on_nonfinite:
        config.train_cfg.on_nonfinite = args.on_nonfinite
    if args.auto_scale_lr:
        if 'base_batch_size' not in config.get('auto_scale_lr', {}):
            raise InputError(f'--auto-scale-lr needs auto_scale_lr = dict(base_batch_size=...) in {args.config}')
        config.auto_scale_lr.enable = True
    return config, task, counts


def set_plain_numbers(config, args):
    """Apply ``--epochs`` and the other settings that stand for keys of the config.

    Raises:
        InputError: one is out of its range, or the config has no place for it.
    """
    from mfdet.engine import settings

    check_at_least_one(args, 'epochs', 'batch_size', 'early_stop')
    setters = dict(
        epochs=settings.set_epochs,
        batch_size=settings.set_batch_size,
        image_size=settings.set_image_size,
        early_stop=settings.set_early_stop,
    )
    for name, setter in setters.items():
        if getattr(args, name) is not None:
            setter(config, getattr(args, name))
    for name in settings.BACKENDS:
        if getattr(args, name):
            settings.add_backend(config, name)


def freeze(config, stages):
    """Keep the first stages of the backbone from learning.

    Args:
        config: the config, changed in place.
        stages: of ``--freeze``, ``'backbone'`` or a number.

    Raises:
        InputError: it is neither.
    """
    if stages != 'backbone' and stages not in map(str, range(LAST_STAGE + 1)):
        raise InputError(
            f"--freeze must be 'backbone' or a number of its stages, 0 (the stem and what follows at its size) to "
            f'{LAST_STAGE} (all); got {stages!r}'
        )
    from mfdet.config_parts import backbone_of

    backbone_of(config.model).frozen_stages = LAST_STAGE if stages == 'backbone' else int(stages)


def set_start(config, args):
    """Set where a run starts: from the beginning, from a checkpoint of its own, or from another trained detector.

    Args:
        config: the config, changed in place.
        args: parsed options.

    Returns:
        bool: it starts from another detector, whose weights are to be fitted to this one's classes.

    Raises:
        InputError: there is nothing to go on from, an earlier run would be overwritten, it cannot start from two, or
            there is nothing worth freezing.
    """
    from mfdet.config_parts import backbone_of
    from mfdet.engine.checkpoint import check_resumable, holds_run, latest_checkpoint
    from mfdet.engine.finetune import match_frozen
    from mfdet.weights import read_checkpoint

    resume, load_from = args.resume, args.load_from
    if resume is None and config.get('resume'):
        resume = config.get('load_from') or 'latest'
    elif load_from is None:
        load_from = config.get('load_from')
    if args.load_from is not None and resume not in (None, 'auto'):
        raise InputError(
            '--resume and --load-from exclude each other: to go on with a run that has begun, leave --load-from out '
            'and keep the other options; to start a new one, leave --resume out'
        )
    source = resume
    if resume in ('latest', 'auto'):
        source = latest_checkpoint(config.work_dir)
    elif resume is not None:
        check_resumable(resume)
    if resume == 'latest' and source is None:
        raise InputError(f'--resume: {config.work_dir} holds no checkpoint yet; leave --resume out to start anew')
    here = source is not None and os.path.realpath(os.path.dirname(source)) == os.path.realpath(config.work_dir)
    if not here and holds_run(config.work_dir):
        raise InputError(
            f'{config.work_dir} holds an earlier run; go on with --resume, name another --work-dir, or remove it'
        )
    if source is not None:
        config.resume, config.load_from = True, source
        match_frozen(config, read_checkpoint(source), source, args.freeze is not None)
        return False
    backbone = backbone_of(config.model)
    if load_from and args.backbone_weights:
        raise InputError('--load-from and --backbone-weights exclude each other: a detector has its own backbone')
    if load_from:
        backbone.pop('init_cfg', None)
        config.load_from = load_from
    if args.freeze is not None and not (load_from or backbone.get('init_cfg')):
        raise InputError('--freeze needs weights worth keeping; give --load-from or --backbone-weights')
    return bool(load_from)


def run(args):
    """Train.

    Args:
        args: options of :func:`build_parser`.

    Returns:
        The exit code, 0 for a training that has come to its end, and the work directory.

    Raises:
        InputError: an option, the config or the data is wrong.
    """
    config, task, counts = build_config(args)
    from mmengine import dist

    import mfdet.register  # noqa: F401
    from mfdet.config_parts import backbone_of
    from mfdet.engine.distributed import telling_of_the_dead
    from mfdet.engine.finetune import FineTuneHook, log_frozen
    from mfdet.engine.lock import locked
    from mfdet.engine.loop import Stopped
    from mfdet.engine.runner import ConsoleRunner

    code = 0
    first = os.environ.get(RANKS.get(args.launcher, ''), '0') == '0'
    lock = locked(config.work_dir) if first else contextlib.nullcontext()
    with lock, telling_of_the_dead('go on from the last checkpoint with --resume'):
        fine_tune = set_start(config, args)
        runner = ConsoleRunner.from_cfg(config)
        if fine_tune:
            runner.register_hook(FineTuneHook())
        if not config.get('load_from') and not backbone_of(config.model).get('init_cfg'):
            runner.logger.info(task.FROM_SCRATCH)
        task.log_data(runner, counts)
        log_frozen(runner)
        try:
            runner.train()
        except Stopped as stop:
            if runner.rank == 0:
                print(f'\n{stop}', file=sys.stderr)
            code = stop.exit_code
        dist.barrier()  # torchrun ends all when one ends badly
    return code, config.work_dir


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()  # first, since the parser is built with mmengine
    return run(build_parser().parse_args(argv))[0]
