"""The part of a config that running a model needs, as plain data in checkpoints and exported weights.

A config file is a program, and so is its text; neither is ever run out of a checkpoint. Plain data could still ask the
registries for anything that can be imported, so it may only name the parts of this project's detectors.
"""

import inspect

import numpy as np
from mmdet.registry import TASK_UTILS
from mmengine.config import Config

from mfdet.config_parts import backbone_of, dataset_of
from mfdet.errors import InputError
from mfdet.models.training_aids import drop_aids

# What may be built, by the name of the entry. A registry imports a module for a name that it does not know, so each of
# these must stand where its registry knows it.
TYPES = dict(
    model={'E2EMobileFormer', 'RetinaNet', 'SingleStageDetector'},
    data_preprocessor={'DetDataPreprocessor'},
    backbone={'MobileFormer', 'MobileViT', 'ResNet'},
    neck={'FPN', 'SSDLiteNeck', 'SSDNeck'},
    bbox_head={
        'MobileFormerHead',
        'MobileFormerPlusHead',
        'RetinaHead',
        'SyncedRetinaHead',
        'SyncedSSDHead',
    },
    anchor_generator={'AnchorGenerator', 'SSDAnchorGenerator'},
    bbox_coder={'DeltaXYWHBBoxCoder'},
    loss_cls={'CrossEntropyLoss', 'FocalLoss', 'MatchabilityAwareLoss'},
    loss_bbox={'GIoULoss', 'L1Loss', 'SmoothL1Loss'},
    loss_iou={'GIoULoss'},
    norm_cfg={'BN', 'GN', 'SyncBN'},
    act_cfg={'ReLU', 'ReLU6'},
    nms={'nms'},
    pipeline={'LoadImage', 'LoadImageFromFile', 'GenerateShapes', 'LoadAnnotations', 'Resize', 'PackDetInputs'},
)
FORBIDDEN = ('_scope_', '_delete_', 'init_cfg', 'pretrained')


def to_plain(value):
    """Turn NumPy scalars and arrays, at any depth of dicts, lists and tuples, into Python numbers and lists."""
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_plain, value))
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def plain_config(config):
    """Return model and test pipeline of a config as plain data, without training aids and names of weights."""
    model = to_plain(config.model.to_dict())
    backbone_of(model).pop('init_cfg', None)
    model.pop('train_cfg', None)
    drop_aids(model)
    pipeline = dataset_of(config.test_dataloader).pipeline if config.get('test_dataloader') else []
    return dict(model=model, pipeline=[to_plain(step.to_dict()) for step in pipeline])


def plain_part(checkpoint, *keys):
    """Return what a checkpoint says at ``keys`` below its own ``mfdet`` metadata; None if it says nothing there."""
    part = checkpoint
    for key in ('meta', 'mfdet', *keys):
        part = part.get(key) if isinstance(part, dict) else None
    return part


def stored_config(checkpoint, path):
    """Return the config stored in a checkpoint, as far as running the model needs it.

    Args:
        checkpoint: of :func:`mfdet.weights.read_checkpoint`.
        path: its file name, for messages.

    Raises:
        InputError: there is none, or it names what is no part of this project's detectors.
    """
    stored = plain_part(checkpoint, 'config')
    if not isinstance(stored, dict) or not isinstance(stored.get('model'), dict):
        raise InputError(f'{path}: it holds no config to build its model from; name one with --config')
    _check('model', stored['model'], path)
    pipeline = stored.get('pipeline')
    if not isinstance(pipeline, list):
        raise InputError(f'{path}: the pipeline in its config must be a list, got {pipeline!r}')
    for step in pipeline:
        _check('pipeline', step, path)
    return Config(dict(model=stored['model'], test_dataloader=dict(dataset=dict(pipeline=pipeline))))


def other_boxes(checkpoint, model):
    """Compare how a model's config makes boxes of a head's output with how that of a checkpoint did.

    Args:
        checkpoint: of :func:`mfdet.weights.read_checkpoint`; one that does not say how is taken to agree.
        model: config of the model.

    Returns:
        The name of the first entry that differs, what the checkpoint has and what the config has; None if none does.
    """
    stored = plain_part(checkpoint, 'config', 'model', 'bbox_head')
    head = model.get('bbox_head') or {}
    for part in ('anchor_generator', 'bbox_coder'):
        before, now = ((side or {}).get(part) if isinstance(side, dict) else None for side in (stored, head))
        if not isinstance(before, dict) or now is None:
            continue
        before, now = _with_defaults(before, part), _with_defaults(dict(now), part)
        wrong = next((key for key in {**before, **now} if before.get(key) != now.get(key)), None)
        if wrong:
            return f'model.bbox_head.{part}.{wrong}', before.get(wrong), now.get(wrong)
    return None


def _with_defaults(options, part):
    """Return the options of a part as plain data, with the defaults of its class, if that is in :data:`TYPES`."""
    kind, known = options.get('type'), {}
    if isinstance(kind, str) and kind in TYPES[part]:
        known = inspect.signature(TASK_UTILS.get(kind)).parameters
    defaults = {name: option.default for name, option in known.items() if option.default is not option.empty}
    return to_plain({**defaults, **options})


def check_boxes(checkpoint, model, path):
    """Check that a model's config makes boxes of a head's output as that of the checkpoint did.

    Anchors and their coder are no weights: with others, all would load, and every box would be wrong.

    Args:
        checkpoint, model: see :func:`other_boxes`.
        path: the checkpoint's file, for the message.

    Raises:
        InputError: an entry differs; the first is named, with what the checkpoint has.
    """
    differing = other_boxes(checkpoint, model)
    if differing:
        name, before, now = differing
        raise InputError(
            f'{path}: was trained with {name}={before}, and this config has {now}, so all boxes would be wrong; take '
            'the config in its work directory, or set that by --cfg-options'
        )


def _check(name, value, path, depth=0):
    """Check that plain data names only what may be built at its place."""
    if depth > 12:
        raise InputError(f'{path}: its config is nested too deeply')
    if isinstance(value, dict):
        wrong = [key for key in FORBIDDEN if value.get(key)]
        if wrong:
            raise InputError(f'{path}: its config has {wrong[0]!r} in {name!r}, which a stored config must not have')
        kind = value.get('type')
        if (kind is not None or name in ('model', 'pipeline')) and not (
            isinstance(kind, str) and kind in TYPES.get(name, ())
        ):
            raise InputError(
                f'{path}: its config asks for {kind!r} as {name!r}, which is no part of the detectors of mfdet; '
                'if you trust its origin, name a config file with --config'
            )
        for key, item in value.items():
            _check(str(key), item, path, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(name, item, path, depth + 1)
    elif name == 'pipeline' and depth == 0:
        raise InputError(f'{path}: a step of the pipeline in its config must be a dict, got {value!r}')
