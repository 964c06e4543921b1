"""Reading checkpoints without running what is inside them."""

import argparse
import json
import os
import pickle
import re

import torch

from mfdet.checksum import check_archive, check_exported
from mfdet.errors import InputError

# Training scripts like to store their parsed options. A Namespace only holds attributes, so reading one is harmless.
torch.serialization.add_safe_globals([argparse.Namespace])
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
INTEGERS = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def read_checkpoint(path, map_location='cpu'):
    """Read a PyTorch file that holds tensors and plain containers (dict, list, numbers, strings, Namespace) only.

    A ``.safetensors`` file of ``tools/export.py --format weights`` comes out in the same form.

    Args:
        path: file name.
        map_location: as in :func:`torch.load`.

    Returns:
        What the file holds; for a checkpoint a dict.

    Raises:
        InputError: the file is missing, damaged (the checksums in it are looked at), or holds any other Python object,
            which could run code when loaded.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise InputError(f'{path}: no such checkpoint file')
    if not os.access(path, os.R_OK):
        raise InputError(f'{path}: cannot be read: Permission denied')
    if path.endswith('.safetensors'):
        return _read_safetensors(path, map_location)
    try:
        check_archive(path)
        return torch.load(path, map_location=map_location, weights_only=True)
    except InputError:
        raise
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


def _read_safetensors(path, map_location):
    """Read a safetensors file as a checkpoint: ``state_dict``, and ``meta`` with the classes and what else it says."""
    try:
        import safetensors
    except ImportError as error:
        raise InputError(f'{path}: reading it needs safetensors: pip install safetensors') from error
    check_exported(path)
    try:
        with safetensors.safe_open(path, framework='pt', device=str(map_location)) as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            described = json.loads((file.metadata() or {}).get('mfdet', '{}'))
    except (safetensors.SafetensorError, ValueError, RecursionError, OSError) as error:
        raise InputError(f'{path} is not a safetensors file, or it is damaged or cut short') from error
    if not isinstance(described, dict):
        raise InputError(f"{path}: its 'mfdet' metadata must be an object, got {described!r}")
    meta = dict(mfdet=described, dataset_meta=dict(classes=described.get('classes')))
    return dict(state_dict=weights, meta=meta)


def _kind(value):
    """Say what an entry of a checkpoint is, if it is no plain tensor."""
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    if value.is_nested or value.layout != torch.strided:
        return 'sparse or nested tensor'
    if value.is_meta:
        return 'tensor without data'
    return None if value.dtype in FLOATS | INTEGERS else f'tensor of {value.dtype}'


def state_dict_of(checkpoint, path):
    """Return the weights of a checkpoint as a flat dict of tensors.

    Args:
        checkpoint: what :func:`read_checkpoint` returned: the weights, or a dict with them under ``state_dict``.
        path: file name, for the message.

    Returns:
        ``{name: tensor}``; a ``module.`` prefix of every name (DataParallel) is removed.

    Raises:
        InputError: there are no weights in it, or an entry is no dense tensor of floats or whole numbers.
    """
    weights = checkpoint
    if isinstance(weights, dict) and 'state_dict' in weights:
        weights = weights['state_dict']
    if not isinstance(weights, dict) or not weights:
        raise InputError(f'{path} holds no weights: expected a dict of tensors, bare or under "state_dict"')
    for name, value in weights.items():
        kind = _kind(value)
        if kind or not isinstance(name, str):
            raise InputError(
                f'{path} holds no plain weights: entry {name!r} is a {kind or "tensor"}, expected a dense tensor of '
                'floats or whole numbers, under a name'
            )
    if all(name.startswith('module.') for name in weights):
        weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    return dict(weights)
