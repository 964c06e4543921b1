"""Loading weights into a backbone, with every mismatch named."""

import re

from mfdet.errors import InputError
from mfdet.weights.files import read_checkpoint, state_dict_of
from mfdet.weights.official import convert_official, is_official


def check_state_dict(state_dict, shapes, source, target):
    """Check that a state dict has exactly the entries and shapes of a model.

    Args:
        state_dict: ``{name: tensor}``.
        shapes: ``{name: shape}`` of the model.
        source: where the weights come from, for the message.
        target: what they are for, for the message.

    Raises:
        InputError: entries are missing, unknown or of another shape; the first of them is named and the rest counted.
    """
    wrong = [f'entry {name!r} is missing' for name in shapes if name not in state_dict]
    wrong += [
        f'entry {name!r} has shape {tuple(state_dict[name].shape)}, expected {tuple(shape)}'
        for name, shape in shapes.items()
        if name in state_dict and tuple(state_dict[name].shape) != tuple(shape)
    ]
    wrong += [f'entry {name!r} is unknown' for name in state_dict if name not in shapes]
    if wrong:
        more = f' ({len(wrong) - 1} more entries differ)' if len(wrong) > 1 else ''
        raise InputError(f'{source} does not fit {target}: {wrong[0]}{more}')


def load_backbone(backbone, path):
    """Load the weights of a file into a :class:`mfdet.models.MobileFormer`.

    Args:
        backbone: the model; it may have fewer stages than the file.
        path: a released ``mobile-former-*.pth.tar``, a converted file, or a checkpoint whose model has a ``backbone``.

    Returns:
        A sentence on what was loaded, from what, and what of the file was left out.

    Raises:
        InputError: the file cannot be read, or entries are missing, unknown or misshapen.
    """
    weights = state_dict_of(read_checkpoint(path), path)
    if is_official(weights):
        weights = convert_official(weights)
    unused = {}
    if any(name.startswith('backbone.') for name in weights):
        unused = dict.fromkeys(name.partition('.')[0] for name in weights if not name.startswith('backbone.'))
        weights = {
            name.removeprefix('backbone.'): value for name, value in weights.items() if name.startswith('backbone.')
        }

    def is_built(name):  # out_indices may have left out the last stages
        block = re.match(r'blocks\.(\d+)\.', name)
        return block is None or int(block[1]) < len(backbone.blocks)

    weights = {name: value for name, value in weights.items() if is_built(name)}
    shapes = {name: value.shape for name, value in backbone.state_dict().items()}
    check_state_dict(weights, shapes, path, f'the backbone {backbone.arch}')
    backbone.load_state_dict(weights)
    kind = 'it is a detector, ' if 'bbox_head' in unused else ''
    rest = f'; {kind}its {" and ".join(unused)} left out' if unused else ''
    return f'The backbone {backbone.arch} starts from the {len(weights)} tensors of {path}{rest}'
