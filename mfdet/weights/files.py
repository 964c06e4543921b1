"""Reading checkpoints without running what is inside them."""

import argparse
import os
import pickle
import re

import torch

from mfdet.errors import InputError

# Training scripts like to store their parsed options. A Namespace only holds attributes, so reading one is harmless.
torch.serialization.add_safe_globals([argparse.Namespace])


def read_checkpoint(path, map_location='cpu'):
    """Read a PyTorch file that holds tensors and plain containers (dict, list, numbers, strings, Namespace) only.

    Args:
        path: file name.
        map_location: as in :func:`torch.load`.

    Returns:
        What the file holds; for a checkpoint a dict.

    Raises:
        InputError: the file is missing, damaged, or holds any other Python object, which could run code when loaded.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise InputError(f'{path}: no such checkpoint file')
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r'(?:GLOBAL|global|class|type|Unsupported class) `?([\w.]+\.[\w.]+)', str(error))
        if name is None:
            raise InputError(f'{path} is not a PyTorch checkpoint, or it is damaged') from error
        raise InputError(
            f'{path} is refused because it holds Python objects ({name[1]}) that could run code when loaded; '
            'save it again with tensors and plain containers only'
        ) from error
    except Exception as error:  # torch raises almost any type for a damaged file, and nothing else can be wrong here
        raise InputError(f'{path} is not a PyTorch checkpoint, or it is damaged or cut short') from error


def state_dict_of(checkpoint, path):
    """Return the weights of a checkpoint as a flat dict of tensors.

    Args:
        checkpoint: what :func:`read_checkpoint` returned: the weights, or a dict with them under ``state_dict``.
        path: file name, for the message.

    Returns:
        ``{name: tensor}``; a ``module.`` prefix of every name (DataParallel) is removed.

    Raises:
        InputError: there are no weights in it.
    """
    weights = checkpoint
    if isinstance(weights, dict) and 'state_dict' in weights:
        weights = weights['state_dict']
    if not isinstance(weights, dict) or not weights:
        raise InputError(f'{path} holds no weights: expected a dict of tensors, bare or under "state_dict"')
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise InputError(
                f'{path} holds no plain weights: entry {name!r} is a {type(value).__name__}, expected a tensor'
            )
    if all(name.startswith('module.') for name in weights):
        weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    return dict(weights)
