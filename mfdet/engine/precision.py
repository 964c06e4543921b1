"""Detection in 16 bits by PyTorch: automatic mixed precision without training."""

import contextlib

import torch
from torch import nn

from mfdet.errors import InputError
from mfdet.layers.precision import in_float32

PRECISIONS = dict(fp32=None, fp16=torch.float16, bf16=torch.bfloat16)


def check_precision(precision, device):
    """Check that a precision is one of torch's that a device is faster in.

    Raises:
        InputError: it is not known, or the device is a CPU, for which there are exported files.
    """
    if precision not in PRECISIONS:
        raise InputError(f'precision: must be one of {", ".join(PRECISIONS)}, got {precision!r}')
    if precision != 'fp32' and str(device).split(':')[0] == 'cpu':
        raise InputError(
            f'precision: {precision} is for a checkpoint on a GPU (device cuda); for a CPU, export it with '
            '--format openvino --precision bf16 or int8'
        )


def autocast(device, precision):
    """Return a context in which PyTorch computes in a precision what that is safe for.

    Args:
        device: torch device, or its type.
        precision: key of :data:`PRECISIONS`.
    """
    dtype = PRECISIONS[precision]
    return contextlib.nullcontext() if dtype is None else torch.autocast(torch.device(device).type, dtype)


def store_weights(model, precision):
    """Store the weights of convolutions and linear layers in a precision, in place; return the model.

    :func:`autocast` would cast them anew for every batch.
    """
    dtype = PRECISIONS[precision]
    for module in model.modules():
        if dtype is not None and isinstance(module, (nn.Conv2d, nn.Linear)):
            module.to(dtype)
    return model


def predict_in(model, precision):
    """Let a model compute in a precision from now on, in place, on the device that it is on; predictions are float32.

    mmengine's loops switch off the context that they are called in, so it is the model that enters it.

    Args:
        model: detector of mmdet, or classifier, maybe wrapped for several processes.
        precision: key of :data:`PRECISIONS`.
    """
    model = getattr(model, 'module', model)
    if PRECISIONS[precision] is None:
        return
    forward, device = model.forward, next(model.parameters()).device
    if hasattr(model, 'bbox_head'):
        model.bbox_head.register_forward_hook(lambda head, inputs, outputs: _in_float32(outputs))

    def in_context(*args, **kwargs):
        with autocast(device, precision):
            return forward(*args, **kwargs)

    model.forward = in_context


def _in_float32(outputs):
    return tuple(in_float32(x) if torch.is_tensor(x) else [in_float32(part) for part in x] for x in outputs)
