"""A trained detector and the images a user gives it, outside of mmengine's Runner."""

import copy

from mmdet.registry import MODELS
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mfdet.config_parts import backbone_of, dataset_of
from mfdet.engine.checkpoint import checkpoint_classes
from mfdet.engine.config import load_config, set_num_classes
from mfdet.engine.plain_config import check_boxes, stored_config
from mfdet.errors import InputError
from mfdet.models.training_aids import drop_aids, without_aids
from mfdet.weights import check_state_dict, convert_released, read_checkpoint, state_dict_of


def load_model(config_file, path, options=None):
    """Build a detector or classifier and load its weights, on the CPU, in evaluation mode.

    Args:
        config_file: config of the training; None for the one in the checkpoint.
        path: checkpoint of the training, or its export as ``weights``; its classes size the heads. For a
            classifier also a released one.
        options: dict of overrides, as of ``--cfg-options``.

    Returns:
        The model, its config and the class names, or None for those if the checkpoint names none.

    Raises:
        InputError: a file is missing or wrong, or the weights do not fit the config.
    """
    checkpoint = read_checkpoint(path)
    classes = checkpoint_classes(checkpoint, path)
    config = stored_config(checkpoint, path) if config_file is None else load_config(config_file, options)
    if classes:
        set_num_classes(config.model, len(classes))
    check_boxes(checkpoint, config.model, path)
    backbone_of(config.model).pop('init_cfg', None)  # the checkpoint holds all weights
    drop_aids(config.model)
    init_default_scope(config.get('default_scope', 'mmdet'))
    try:
        model = MODELS.build(copy.deepcopy(config.model))  # mmdet writes into what it builds
    except InputError:
        raise
    except Exception as error:  # a config may be wrong in any way
        source = config_file or f'the config in {path}'
        raise InputError(f'{source}: its model cannot be built: {type(error).__name__}: {error}') from error
    weights = convert_released(without_aids(state_dict_of(checkpoint, path)), path)
    check_state_dict(weights, model.state_dict(), path, f'the model of {config_file or "its own config"}')
    model.load_state_dict(weights)
    return model.eval(), config, classes


def image_pipeline(config):
    """Return the transforms of a config's test pipeline for images in memory, without annotations.

    The result maps ``dict(img=image, img_id=0)`` with a BGR image (H, W, 3) to mmdet's ``inputs`` and
    ``data_samples``.
    """
    steps = [dict(type='mmdet.LoadImageFromNDArray')]
    for step in dataset_of(config.test_dataloader).pipeline:
        if step['type'].startswith(('Load', 'Generate')):
            continue
        if step['type'] == 'PackDetInputs':
            step = dict(step, meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor'))
        steps.append(step)
    return Compose(steps)
