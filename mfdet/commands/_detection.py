"""What training and testing do for detectors alone; :mod:`mfdet.commands._classification` does it for classifiers."""

import os

from mfdet.errors import InputError

FROM_SCRATCH = (
    'The backbone starts from scratch; --backbone-weights FILE starts it from released ImageNet weights, --load-from '
    'FILE the whole from a trained detector'
)


def takes(model):
    """Tell whether a model config is of a detector."""
    return 'bbox_head' in model


def data_pair(args, split):
    """Return (annotation file, image folder) of a split from parsed options, None if neither is given."""
    pair = getattr(args, f'{split}_ann'), getattr(args, f'{split}_images')
    if None in pair and pair != (None, None):
        raise InputError(f'--{split}-ann and --{split}-images belong together; give both')
    return None if None in pair else pair


def prepare_training(config, args):
    """Fit the config of a training to the data, and check those.

    Args:
        config: the config, changed in place.
        args: parsed options.

    Returns:
        The :class:`mfdet.data.counts.Counts` of ``'train'`` and ``'val'`` where they are files.

    Raises:
        InputError: an option or the data is wrong.
    """
    from mfdet.engine.config import check_data, check_training_annotations, set_data

    train, val = data_pair(args, 'train'), data_pair(args, 'val')
    if train and not val:
        raise InputError(
            '--train-ann needs --val-ann and --val-images too; give the training pair if there is no other'
        )
    set_data(config, args.data_root, train, val, args.cfg_options)
    check_data(config, ('train', 'val'))
    return check_training_annotations(config, args.allow_bad_boxes)


def log_data(runner, counts):
    """Log what the training is made of, and warn of what it can hardly learn or measure.

    Args:
        runner: of the training; data that is in no file is counted in its data sets.
        counts: of :func:`mfdet.engine.config.check_training_annotations`.
    """
    from mfdet.config_parts import image_side
    from mfdet.data.counts import compare_counts, count_items, fit_warnings
    from mfdet.engine.distributed import bare

    splits = [('train', runner.train_dataloader)]
    if runner.val_loop is not None:
        splits.append(('val', runner.val_dataloader))
    counts = {split: counts.get(split) or count_items(loader.dataset) for split, loader in splits}
    for split, count in counts.items():
        runner.logger.info(f'{dict(train="Training", val="Validation")[split]}: {count}')
    classes = runner.train_dataloader.dataset.metainfo['classes']
    model = bare(runner.model)
    cell = min(getattr(model.backbone, 'out_strides', [8]))
    queries = getattr(model.bbox_head, 'num_queries', None)
    fit = fit_warnings(counts['train'], queries, cell, image_side(runner.cfg), *smallest_anchor(model.bbox_head))
    for warning in [*compare_counts(counts['train'], counts.get('val'), classes), *fit]:
        runner.logger.warning(warning)


def smallest_anchor(head):
    """Return the side, √area, of the smallest anchor of RetinaNet's head in pixels and in strides; None for others."""
    generator = getattr(head, 'prior_generator', None)
    if getattr(generator, 'octave_base_scale', None) is None:
        return None, None
    sides = generator.base_anchors[0][:, 2:] - generator.base_anchors[0][:, :2]
    return sides.prod(1).min().sqrt().item(), generator.octave_base_scale


def prepare_test(config, args, backend):
    """Fit the config of a test to the data and to the checkpoint, and check those.

    Args:
        config: the config, changed in place; its model too for an exported file.
        args: parsed options.
        backend: what runs the model, ``'torch'`` for a checkpoint.

    Raises:
        InputError: an option, the checkpoint or the data is wrong.
    """
    from mfdet.engine.checkpoint import checkpoint_classes
    from mfdet.engine.config import check_data, set_classes, set_data
    from mfdet.engine.exported_model import exported_config
    from mfdet.engine.plain_config import check_boxes
    from mfdet.weights import read_checkpoint

    set_data(config, args.data_root, val=data_pair(args, 'val'), options=args.cfg_options)
    if backend == 'torch':
        checkpoint = read_checkpoint(args.checkpoint)
        classes = checkpoint_classes(checkpoint, args.checkpoint)
        check_boxes(checkpoint, config.model, args.checkpoint)
    else:
        config.model, metadata = exported_config(args.checkpoint, config)
        classes = metadata['classes']
    if classes:
        set_classes(config, classes)
    check_data(config, ('test',))


def set_evaluator(evaluator, results_dir):
    """Let an evaluator's config of a test say all it can, and leave the detections in ``results_dir``."""
    evaluator.classwise = True
    evaluator.outfile_prefix = os.path.join(results_dir, 'results')
