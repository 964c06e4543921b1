"""The part of a config that running a model needs, as plain data in checkpoints and exported weights.

A config file is a program, and so is its text; neither is ever run out of a checkpoint. Plain data could still ask the
registries for anything that can be imported, so it may only name the parts of this project's detectors.
"""

import numpy as np
from mmengine.config import Config

from mfdet.engine.config import dataset_of
from mfdet.errors import InputError

MODEL_TYPES = {
    *('E2EMobileFormer', 'RetinaNet', 'DetDataPreprocessor'),
    *('MobileFormer', 'ResNet', 'FPN', 'MobileFormerHead', 'RetinaHead'),
    *('AnchorGenerator', 'DeltaXYWHBBoxCoder', 'MaxIoUAssigner', 'PseudoSampler', 'nms'),
    *('FocalLoss', 'CrossEntropyLoss', 'L1Loss', 'SmoothL1Loss', 'GIoULoss', 'BN', 'GN', 'SyncBN', 'ReLU'),
}
STEP_TYPES = {
    *('LoadImageFromFile', 'GenerateShapes', 'LoadAnnotations', 'Resize', 'PackDetInputs'),
}


def to_plain(value):
    """Turn NumPy scalars and arrays, at any depth of dicts, lists and tuples, into Python numbers and lists."""
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_plain, value))
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def plain_config(config):
    """Return model and test pipeline of a config as plain data, without what names pretrained weights."""
    model = to_plain(config.model.to_dict())
    model['backbone'].pop('init_cfg', None)
    pipeline = dataset_of(config.test_dataloader).pipeline if config.get('test_dataloader') else []
    return dict(model=model, pipeline=[to_plain(step.to_dict()) for step in pipeline])


def stored_config(checkpoint, path):
    """Return the config stored in a checkpoint, as far as running the model needs it.

    Args:
        checkpoint: of :func:`mfdet.weights.read_checkpoint`.
        path: its file name, for messages.

    Raises:
        InputError: there is none, or it names what is no part of this project's detectors.
    """
    stored = checkpoint
    for key in ('meta', 'mfdet', 'config'):
        stored = stored.get(key) if isinstance(stored, dict) else None
    if not isinstance(stored, dict) or not {'model', 'pipeline'} <= set(stored):
        raise InputError(f'{path}: it holds no config to build its model from; name one with --config')
    for part, known in (('model', MODEL_TYPES), ('pipeline', STEP_TYPES)):
        unknown = sorted(set(map(str, _types(stored[part]))) - known)
        if unknown:
            raise InputError(
                f'{path}: its config asks for {unknown[0]!r}, which is no part of the detectors of mfdet; '
                'if you trust its origin, name a config file with --config'
            )
    return Config(dict(model=stored['model'], test_dataloader=dict(dataset=dict(pipeline=stored['pipeline']))))


def _types(value):
    """Yield every ``type`` (and ``_scope_``) inside plain data."""
    if isinstance(value, dict):
        yield from (value[key] for key in ('type', '_scope_', 'init_cfg') if value.get(key))
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _types(item)
