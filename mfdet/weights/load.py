"""Loading weights into a backbone, with every mismatch named."""

import re

import torch
from torch import nn

from mfdet.errors import InputError
from mfdet.weights.files import read_checkpoint, state_dict_of
from mfdet.weights.released import convert_released


def check_finite(state_dict, source):
    """Check that weights are finite.

    Args:
        state_dict: ``{name: tensor}`` of :func:`mfdet.weights.state_dict_of`.
        source: where the weights come from, for the message.

    Raises:
        InputError: an entry holds NaN or infinity; it is named.
    """
    for name, value in state_dict.items():
        if value.is_floating_point() and value.numel() and not torch.stack(value.detach().aminmax()).isfinite().all():
            raise InputError(
                f'{source}: entry {name!r} holds NaN or infinity; take a checkpoint from before its training diverged'
            )


def check_state_dict(state_dict, expected, source, target):
    """Check that a state dict has exactly the entries of a model, of the same shape and kind, and finite.

    Args:
        state_dict: ``{name: tensor}`` of :func:`mfdet.weights.state_dict_of`.
        expected: the state dict of the model; only shapes and dtypes are looked at.
        source: where the weights come from, for the message.
        target: what they are for, for the message.

    Raises:
        InputError: entries are missing, unknown, of another shape or whole numbers in place of floats (or the reverse);
            the first of them is named and the rest counted. Or one holds NaN or infinity.
    """
    wrong = [f'entry {name!r} is missing' for name in expected if name not in state_dict]
    both = {name: (state_dict[name], tensor) for name, tensor in expected.items() if name in state_dict}
    wrong += [
        f'entry {name!r} has shape {tuple(value.shape)}, expected {tuple(tensor.shape)}'
        for name, (value, tensor) in both.items()
        if value.shape != tensor.shape
    ]
    wrong += [
        f'entry {name!r} is of {value.dtype}, expected {tensor.dtype}'
        for name, (value, tensor) in both.items()
        if value.is_floating_point() != tensor.is_floating_point()
    ]
    wrong += [f'entry {name!r} is unknown' for name in state_dict if name not in expected]
    if wrong:
        more = f' ({len(wrong) - 1} more entries differ)' if len(wrong) > 1 else ''
        raise InputError(f'{source} does not fit {target}: {wrong[0]}{more}')
    check_finite({name: value.to(tensor.dtype) for name, (value, tensor) in both.items()}, source)


def load_backbone(backbone, path):
    """Load the weights of a file into a backbone of this project.

    Args:
        backbone: the model; it may have fewer stages than the file.
        path: a released ``mobile-former-*.pth.tar`` or MobileViT, a converted file, or a checkpoint whose model has a
            ``backbone``.

    Returns:
        A sentence on what was loaded, from what, and what of the file was left out.

    Raises:
        InputError: the file cannot be read, or its entries are not those of the backbone, or not finite.
    """
    weights = convert_released(state_dict_of(read_checkpoint(path), path), path)
    unused = {}
    if any(name.startswith('backbone.') for name in weights):
        unused = dict.fromkeys(name.partition('.')[0] for name in weights if not name.startswith('backbone.'))
        weights = {
            name.removeprefix('backbone.'): value for name, value in weights.items() if name.startswith('backbone.')
        }

    def is_built(name):  # out_indices may have left out the last stages
        if name.startswith(backbone.unbuilt):
            return False
        part = re.match(r'(\w+)\.(\d+)\.', name)
        parts = getattr(backbone, part[1], None) if part else None
        return not isinstance(parts, nn.ModuleList) or int(part[2]) < len(parts)

    weights = {name: value for name, value in weights.items() if is_built(name)}
    check_state_dict(weights, backbone.state_dict(), path, f'the backbone {backbone.arch}')
    backbone.load_state_dict(weights)
    kind = 'it is a detector, ' if 'bbox_head' in unused else ''
    rest = f'; {kind}its {" and ".join(unused)} left out' if unused else ''
    return f'The backbone {backbone.arch} starts from the {len(weights)} tensors of {path}{rest}'
