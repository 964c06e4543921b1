"""What training and testing do for classifiers alone; :mod:`mfdet.commands._detection` does it for detectors."""

import os

from mfdet.errors import InputError
from mfdet.values import listed

FROM_SCRATCH = (
    'The classifier starts from scratch; --backbone-weights FILE starts its backbone from that of another classifier '
    'or of a detector'
)
WORST = 10  # classes that a test lists
FOR_DETECTORS = ('train_ann', 'val_ann', 'allow_bad_boxes', 'load_from', 'out', 'show_dir', 'report')  # options


def takes(model):
    """Tell whether a model config is of a classifier."""
    return model.get('type') in ('MobileFormerClassifier', 'MobileViTClassifier')


def set_folders(config, args, splits):
    """Point a config at the user's folders; return ``{split: folder}`` of the class folders.

    Args:
        config: the config, changed in place.
        args: parsed options.
        splits: of ``'train'``, ``'val'`` and ``'test'``; the last takes the options of ``'val'``.

    Raises:
        InputError: an option is for detectors alone, or the data folder is missing.
    """
    from mfdet.config_parts import dataset_of

    wrong = [name for name in FOR_DETECTORS if getattr(args, name, None)]
    if wrong:
        instead = '; --backbone-weights takes a trained classifier' if wrong[0] == 'load_from' else ''
        raise InputError(f'--{wrong[0].replace("_", "-")} is for detectors, {config.filename} is a classifier{instead}')
    if args.data_root and not os.path.isdir(args.data_root):
        raise InputError(f'{args.data_root}: no such data folder (--data-root)')
    folders = {}
    for split in splits:
        if not config.get(f'{split}_dataloader'):
            continue
        dataset = dataset_of(config[f'{split}_dataloader'])
        dataset.data_root = args.data_root or dataset.get('data_root') or ''
        images = getattr(args, f'{"train" if split == "train" else "val"}_images', None)
        if images:
            dataset.data_prefix = dict(img=images)
        folders[split] = os.path.join(dataset.data_root, dataset.data_prefix['img'])
    return folders


def prepare_training(config, args):
    """Fit the config of a training to the class folders, and check those.

    Args:
        config: the config, changed in place.
        args: parsed options.

    Raises:
        InputError: an option or a folder is wrong.
    """
    from mfdet.data.image_folders import check_folders, read_classes
    from mfdet.engine.config import set_classes

    folders = set_folders(config, args, ('train', 'val', 'test'))
    classes = read_classes(folders['train'])
    if len(classes) < 2:
        raise InputError(f'{folders["train"]}: holds one class folder, {classes[0]}; a classifier needs at least two')
    if 'val' in folders:
        check_folders(folders['val'], classes)
    set_classes(config, classes)
    if config.train_dataloader.get('batch_size', 1) < 2:
        raise InputError(
            'train_dataloader.batch_size must be at least 2, for the BatchNorm in the head of a classifier'
        )


def log_data(runner, counts=None):
    """Log what the training is made of, and warn of what it cannot measure.

    Args:
        runner: of the training; the images are counted in its data sets.
        counts: not looked at.

    Raises:
        InputError: there are fewer images than a batch takes.
    """
    datasets = dict(Training=runner.train_dataloader.dataset)
    if runner.val_loop is not None:
        datasets['Validation'] = runner.val_dataloader.dataset
    for name, dataset in datasets.items():
        counts, folder = dataset.counts, dataset.data_prefix['img']
        runner.logger.info(
            f'{name}: {sum(counts.values())} images of {len(counts)} classes, {min(counts.values())} to '
            f'{max(counts.values())} of each ({folder})'
        )
        lacking = [name for name, number in counts.items() if not number]
        if lacking:
            runner.logger.warning(
                f'{folder}: no image of {listed(lacking)}, which training has; accuracy is measured without'
            )
    if not len(runner.train_dataloader):
        dataset = datasets['Training']
        raise InputError(
            f'{dataset.data_prefix["img"]}: {len(dataset)} images do not fill a batch of all processes; set a smaller '
            'train_dataloader.batch_size with --cfg-options'
        )


def prepare_test(config, args, backend):
    """Fit the config of a test to the class folders and to the checkpoint, and check those.

    Args:
        config: the config, changed in place.
        args: parsed options.
        backend: what runs the model; classifiers are tested in ``'torch'`` alone.

    Raises:
        InputError: an option, the checkpoint or a folder is wrong.
    """
    from mfdet.data.image_folders import check_folders, read_classes
    from mfdet.engine.checkpoint import checkpoint_classes
    from mfdet.engine.config import set_classes
    from mfdet.weights import read_checkpoint

    if backend != 'torch':
        raise InputError(f'{args.checkpoint}: exported classifiers are not tested here; give the checkpoint')
    folder = set_folders(config, args, ('test',))['test']
    classes = checkpoint_classes(read_checkpoint(args.checkpoint), args.checkpoint)
    if classes:
        check_folders(folder, classes)
    else:  # as released: the outputs are the sorted folders
        classes = read_classes(folder)
        if len(classes) != config.model.num_classes:
            raise InputError(
                f'{folder}: holds {len(classes)} class folders, but {args.checkpoint} names no classes, so there must '
                f'be one for each of the {config.model.num_classes} outputs of the model, in their order'
            )
    set_classes(config, classes)


def set_evaluator(evaluator, results_dir):
    """Let an evaluator's config of a test list the worst classes; nothing is written."""
    evaluator.worst_classes = WORST
