"""Reading configs, and fitting them to the user's data before anything is built."""

import os
import sys

from mmengine.config import Config, ConfigDict

from mfdet.config_parts import dataset_of, evaluators_of
from mfdet.data.check import ERROR, box_problem, check_annotations, read_annotations
from mfdet.data.coco import read_categories
from mfdet.data.counts import count_objects
from mfdet.engine.find_config import find_config
from mfdet.errors import InputError

HOW_TO_GET_COCO = (
    'for COCO, download train2017.zip, val2017.zip and annotations_trainval2017.zip from cocodataset.org and unpack '
    'them there, or name the folder that holds annotations/, train2017/ and val2017/ with --data-root'
)


def load_config(path, options=None):
    """Read a config file.

    Args:
        path: a Python config of mmengine, or the name of a shipped one, see
            :func:`mfdet.engine.find_config.find_config`.
        options: dict of overrides, as of ``--cfg-options``.

    Raises:
        InputError: the file is missing or no valid config, or an override names what is not there.
    """
    path = find_config(path)
    try:
        config = Config.fromfile(path)
    except Exception as error:  # a config is a program: anything may come out of it
        raise InputError(f'{path} is not a valid config: {type(error).__name__}: {error}') from error
    try:
        config.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError, AssertionError) as error:
        raise InputError(f'--cfg-options does not fit {path}: {error}') from error
    if 'model' not in config:
        raise InputError(f'{path} has no "model"; name a detector config such as configs/retinanet_mf508m.py')
    return config


def set_num_classes(model, num_classes):
    """Set every ``num_classes`` inside a model config, at any depth."""
    if isinstance(model, dict):
        for key, value in model.items():
            if key == 'num_classes':
                model[key] = num_classes
            else:
                set_num_classes(value, num_classes)
    elif isinstance(model, (list, tuple)):
        for item in model:
            set_num_classes(item, num_classes)


def set_classes(config, classes):
    """Make a config use these classes, in this order, in its heads and data sets."""
    set_num_classes(config.model, len(classes))
    for split in ('train', 'val', 'test'):
        if config.get(f'{split}_dataloader'):
            dataset = dataset_of(config[f'{split}_dataloader'])
            if tuple(dataset.get('metainfo', {}).get('classes', ())) != tuple(classes):
                dataset.metainfo = ConfigDict(classes=tuple(classes))


def set_data(config, data_root=None, train=None, val=None, options=None):
    """Point a config at the user's files and read the classes from the training annotations.

    Args:
        config: the config, changed in place. Its evaluators follow the validation annotations.
        data_root: folder that the other paths are relative to; None keeps the config's.
        train: (annotation file, image folder) for training, or None.
        val: the same for validation and testing, or None.
        options: overrides of the config; an evaluator's file that they name is left as it is.

    Raises:
        InputError: the config has generated data, or a file is no COCO annotation file.
    """
    pairs = dict(train=train, val=val, test=val)
    for split, pair in pairs.items():
        if not config.get(f'{split}_dataloader'):
            continue
        dataset = dataset_of(config[f'{split}_dataloader'])
        if 'ann_file' not in dataset:
            if data_root or pair:
                raise InputError(
                    f'{config.filename} trains on generated data ({dataset.type}); '
                    'for images of your own take another config, such as configs/small/retinanet_mf151m.py'
                )
            continue
        if data_root and not os.path.isdir(data_root):
            raise InputError(f'{data_root}: no such data folder (--data-root)')
        if data_root:
            dataset.data_root = data_root
        if pair:
            dataset.ann_file, images = pair
            dataset.data_prefix = ConfigDict(img=images)
        if split != 'train':
            for evaluator in evaluators_of(config, split):
                if 'ann_file' in evaluator and f'{split}_evaluator.ann_file' not in (options or {}):
                    evaluator.ann_file = os.path.join(dataset.get('data_root') or '', dataset.ann_file)
    if train:
        root = dataset_of(config.train_dataloader).get('data_root') or ''
        set_classes(config, [name for _, name in read_categories(os.path.join(root, train[0]))])


def check_data(config, splits):
    """Check that the files a run will read are there, before anything is built.

    Args:
        config: the config.
        splits: those that will be used, of 'train', 'val' and 'test'.

    Raises:
        InputError: a folder or file is missing; it says what was looked for and how to get it.
    """
    for split in splits:
        if not config.get(f'{split}_dataloader'):
            continue
        dataset = dataset_of(config[f'{split}_dataloader'])
        if 'ann_file' not in dataset:
            continue
        root = dataset.get('data_root') or ''
        absolute = os.path.isabs(dataset.ann_file) and os.path.isabs(dataset.get('data_prefix', {}).get('img', ''))
        if root and not absolute and not os.path.isdir(root):
            raise InputError(
                f'{root}: no such data folder; name that of your images with --data-root, --train-ann, --train-images, '
                f'--val-ann and --val-images, or {HOW_TO_GET_COCO}'
            )
        ann_file = os.path.join(root, dataset.ann_file)
        images = os.path.join(root, dataset.get('data_prefix', {}).get('img', ''))
        if not os.path.isfile(ann_file):
            raise InputError(
                f'{ann_file}: no such annotation file for the {split} split; name yours with --train-ann and '
                f'--val-ann, or {HOW_TO_GET_COCO}'
            )
        if not os.path.isdir(images):
            raise InputError(
                f'{images}: no such image folder for the {split} split; name yours with --train-images and '
                f'--val-images, or {HOW_TO_GET_COCO}'
            )


def check_training_annotations(config, allow_bad_boxes=False):
    """Check the annotation files of a training before anything is built, without their images.

    Args:
        config: the config.
        allow_bad_boxes: leave out annotations with a wrong box, which are counted on the screen, instead of raising.

    Returns:
        dict of ``'train'`` and ``'val'`` to :class:`mfdet.data.counts.Counts`, of those that are files.

    Raises:
        InputError: something is wrong with the training's; the message has the first ten problems and their number. Or
            it has no object, or the validation's is no annotation file.
    """
    contents, counts = {}, {}
    for split in ('train', 'val'):
        dataset = dataset_of(config[f'{split}_dataloader']) if config.get(f'{split}_dataloader') else {}
        if 'ann_file' not in dataset:
            continue
        path = os.path.join(dataset.get('data_root') or '', dataset.ann_file)
        if path not in contents:
            contents = {path: read_annotations(path)}
        content = contents[path]
        if split == 'train':
            content = _checked(dataset, content, path, allow_bad_boxes)
        counts[split] = count_objects(content, path, dataset.get('metainfo', {}).get('classes'))
    if 'train' in counts and not any(counts['train'].objects.values()):
        raise InputError(
            f'{counts["train"].source}: has no object to learn from; "annotations" must hold objects of its categories '
            'that are no crowds'
        )
    return counts


def _checked(dataset, content, path, allow_bad_boxes):
    """Check the annotations of the training; return them, without those with wrong boxes if that is allowed."""
    problems = [p for p in check_annotations(content, path) if p.severity == ERROR]
    boxes = [p for p in problems if p.what.startswith('bbox ')]
    if allow_bad_boxes and boxes:
        print(f'warning: {path}: {len(boxes)} annotations are left out, the first: {boxes[0].what}', file=sys.stderr)
        problems = [p for p in problems if p not in boxes]
        dataset.allow_bad_boxes = True
        content = dict(
            content, annotations=[item for item in content['annotations'] if box_problem(item.get('bbox')) is None]
        )
    if problems:
        listed = '\n'.join(f'  {p.id}: {p.what}; {p.right}' for p in problems[:10])
        hint = '; --allow-bad-boxes leaves wrong boxes out' if boxes and not allow_bad_boxes else ''
        raise InputError(
            f'{path}: {len(problems)} errors to correct before training{hint} (tools/check_dataset.py lists all):\n'
            f'{listed}'
        )
    return content
