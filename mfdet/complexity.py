"""Parameters and multiply-adds (MAdds) of a model, counted as the paper counts them."""

import dataclasses

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from mfdet.layers import DynamicReLU
from mfdet.models.training_aids import drop_aids


@dataclasses.dataclass
class Complexity:
    """Cost of one forward pass; ``parts`` maps each top-level module to its own (params, madds)."""

    params: int
    madds: int
    parts: dict


def count_complexity(model, shape, forward=None):
    """Count parameters and MAdds of a model for one image.

    One MAdd is one multiply-add of a convolution, a linear layer or an attention product; a dynamic ReLU adds 2 per
    element it touches. Normalisation, activations, additions and resizing are not counted. BatchNorm parameters count
    as parameters. The model runs on torch's meta device, so nothing is computed and any size is quick.

    Args:
        model: a module built on any device; it is moved to the meta device and cannot be used afterwards.
        shape: (H, W) of the image in pixels.
        forward: method to count, called with a (1, 3, H, W) tensor; None for ``model.forward``.

    Returns:
        Complexity: totals, and (params, madds) for each top-level module in ``parts``.
    """
    model = model.to('meta').requires_grad_(False)
    model.eval()  # of some networks in mmdet it returns nothing
    counter = FlopCounterMode(display=False)
    relu_madds = 0

    def count_relu(module, inputs, output):
        nonlocal relu_madds
        relu_madds += 2 * output.numel()

    def total():
        return counter.get_total_flops() // 2 + relu_madds

    def metered(name, part_forward):  # a hook would miss detectors that call part.forward(x) instead of part(x)
        def wrapped(*args, **kwargs):
            before = total()
            outputs = part_forward(*args, **kwargs)
            madds[name] += total() - before
            return outputs

        return wrapped

    for module in model.modules():
        if isinstance(module, DynamicReLU):
            module.register_forward_hook(count_relu)
    madds = {}
    for name, part in model.named_children():
        madds[name] = 0
        part.forward = metered(name, part.forward)
    with counter:
        (forward or model)(torch.empty(1, 3, *shape, device='meta'))
    parts = {name: (sum(p.numel() for p in part.parameters()), madds[name]) for name, part in model.named_children()}
    return Complexity(params=sum(p.numel() for p in model.parameters()), madds=total(), parts=parts)


def count_model(config, shape):
    """Count parameters and MAdds of the detector or classifier that a config describes, for one image.

    Args:
        config: ``model`` of a config file; its ``data_preprocessor`` is taken out, as its padding depends on the image,
            and so are training aids.
        shape: (H, W) of the image in pixels.

    Returns:
        Complexity: see :func:`count_complexity`.
    """
    init_default_scope('mmdet')
    config.pop('data_preprocessor', None)
    drop_aids(config)
    return count_detector(MODELS.build(config), shape)


def count_detector(model, shape):
    """Count parameters and MAdds of a detector or classifier without ``data_preprocessor``; see :func:`count_model`."""
    sample = DetDataSample(metainfo=dict(img_shape=shape, batch_input_shape=shape, pad_shape=shape))  # some ask for it
    return count_complexity(model, shape, lambda images: model(images, [sample]))
