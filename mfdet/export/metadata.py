"""What an exported file says about itself, so that the runtime needs no config."""

import json

from mmdet.registry import DATASETS

import mfdet
from mfdet.checksum import BLANK
from mfdet.config_parts import dataset_of
from mfdet.errors import InputError

KEY = 'mfdet'  # of the metadata in ONNX, OpenVINO and safetensors files
FORMAT = 1


def resize_of(config):
    """Return the test pipeline's resizing as ``dict(scale=[W, H], keep_ratio=True)``, None if there is none.

    Raises:
        InputError: the pipeline resizes in a way that cannot be exported.
    """
    steps = [step for step in dataset_of(config.test_dataloader).pipeline if 'Resize' in step['type']]
    if not steps:
        return None
    if len(steps) > 1 or steps[0]['type'] != 'Resize' or not steps[0].get('keep_ratio') or 'scale' not in steps[0]:
        raise InputError(f'the test pipeline must resize once, by Resize(scale=..., keep_ratio=True), got {steps}')
    return dict(scale=list(steps[0]['scale']), keep_ratio=True)


def classes_of(config):
    """Return the class names of a config's test data set if they are known without its files, else None."""
    dataset = dataset_of(config.test_dataloader)
    kind = DATASETS.get(dataset.type) if 'type' in dataset else None
    return (dataset.get('metainfo') or {}).get('classes') or getattr(kind, 'METAINFO', {}).get('classes')


def describe(model, config, classes, normalized=True, fixed_size=None):
    """Return the metadata of an exported detector, see ``docs/export.md``.

    Args:
        model: the detector.
        config: its config.
        classes: class names of the checkpoint; None takes those of the config's data set, or numbers them.
        normalized: whether the graph wants normalised images.
        fixed_size: (height, width) that the graph takes alone, or None for any.
    """
    preprocessor = model.data_preprocessor
    count = model.bbox_head.num_classes
    classes = classes or classes_of(config)
    return dict(
        format=FORMAT,
        version=mfdet.__version__,
        task='detection',
        model=type(model).__name__,
        classes=list(classes or [f'class {i}' for i in range(count)]),
        normalized=normalized,
        **normalization(preprocessor),
        pad_divisor=32 if fixed_size else max(32, preprocessor.pad_size_divisor),  # a fixed size is what is padded to
        resize=resize_of(config),
        **(dict(fixed_size=list(fixed_size)) if fixed_size else {}),
    )


def normalization(preprocessor):
    """Return how mmdet's or mmengine's preprocessor prepares pixels, as metadata."""
    return dict(
        channel_order='rgb' if preprocessor._channel_conversion else 'bgr',
        mean=preprocessor.mean.flatten().tolist(),
        std=preprocessor.std.flatten().tolist(),
    )


def describe_classifier(model, config, classes):
    """Return the metadata of an exported classifier, whose config has an ImgDataPreprocessor."""
    return dict(
        format=FORMAT,
        version=mfdet.__version__,
        task='classification',
        model=type(model).__name__,
        arch=config.model.arch,
        classes=list(classes or []),
        **normalization(model.data_preprocessor),
    )


def dumps(metadata):
    """Return metadata as one line of JSON, with room for the checksum that :func:`mfdet.checksum.stamp` puts in."""
    return json.dumps(dict(metadata, checksum=BLANK), ensure_ascii=False)
