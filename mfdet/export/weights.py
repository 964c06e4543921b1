"""Weights as safetensors: tensors and a description, nothing that could run."""

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.metadata import KEY, dumps


def export_weights(state_dict, metadata, path, backbone_only=False, half=False):
    """Write a model's weights.

    Args:
        state_dict: of a checkpoint; mmengine puts the averaged (EMA) weights there if there are any.
        metadata: dict for the file's metadata.
        path: the file; it is replaced if it exists.
        backbone_only: keep the backbone alone, named as ``MobileFormer`` names it.
        half: store in float16 what has more than one dimension; not the statistics and factors of norms, which it may
            not hold.

    Raises:
        InputError: safetensors is missing, there is no backbone, or a weight is beyond float16.
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
    if half:
        for name, value in tensors.items():
            if value.is_floating_point() and value.ndim > 1:
                tensors[name] = value.half()
                if not tensors[name].isfinite().all():
                    raise InputError(f'--precision fp16: {name} has weights that float16 cannot hold')
    with open(path, 'wb') as file:  # safetensors' own writer makes files that no other user may read
        file.write(save(tensors, metadata={KEY: dumps(metadata)}))
    stamp(path)
