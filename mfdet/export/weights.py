"""Weights as safetensors: tensors and a description, nothing that could run."""

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.metadata import KEY, dumps


def export_weights(state_dict, metadata, path, backbone_only=False):
    """Write a model's weights.

    Args:
        state_dict: of a checkpoint; mmengine puts the averaged (EMA) weights there if there are any.
        metadata: dict for the file's metadata.
        path: the file; it is replaced if it exists.
        backbone_only: keep the backbone alone, named as ``MobileFormer`` names it.

    Raises:
        InputError: safetensors is missing, or there is no backbone.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise InputError('exporting weights needs safetensors: pip install safetensors') from error
    if backbone_only:
        state_dict = {
            name.removeprefix('backbone.'): value for name, value in state_dict.items() if name.startswith('backbone.')
        }
        if not state_dict:
            raise InputError('--backbone-only: the checkpoint has no entry that starts with "backbone."')
    tensors = {name: value.contiguous() for name, value in state_dict.items()}
    with open(path, 'wb') as file:  # safetensors' own writer makes files that no other user may read
        file.write(save(tensors, metadata={KEY: dumps(metadata)}))
    stamp(path)
