"""``load_detector``: one call for checkpoints and exported files."""

import os

from mfdet.errors import InputError
from mfdet.runtime import Detector
from mfdet.runtime.detector import MODELS, check_no_package

EXPORTED = tuple(MODELS)
CHECKPOINTS = ('.pth', '.pt', '.safetensors')


def load_detector(path, config=None, device='cpu', threads=None, precision='fp32'):
    """Load a detector that takes image files and arrays.

    Args:
        path: an exported file (``.onnx``, ``.xml``, ``.tflite``, which need no torch, or ``.pte``), or a checkpoint
            (``.pth``, ``.pt``, ``.safetensors``).
        config: config file, only for checkpoints that hold none.
        device: torch device of a checkpoint, such as 'cuda'; exported files run on the CPU.
        threads: CPU threads, None for the default.
        precision: of a checkpoint on a GPU, 'fp32', 'fp16' or 'bf16'; an exported file has its own.

    Returns:
        :class:`mfdet.runtime.Detector`, or one with the same call that runs in PyTorch.

    Raises:
        InputError: the file is missing, of another kind or cannot be used.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix in (*EXPORTED, *CHECKPOINTS) and not os.path.isfile(path):  # said before torch takes its time
        raise InputError(f'{path}: no such {"model" if suffix in EXPORTED else "checkpoint"} file')
    if suffix in CHECKPOINTS:
        from mfdet.compat import check_environment

        check_environment()
        from mfdet.engine.torch_detector import TorchDetector

        return TorchDetector(os.fspath(path), config, device, threads, precision)
    check_no_package(path)
    if suffix not in EXPORTED:
        raise InputError(
            f'{path}: a detector ends in {", ".join(EXPORTED)} (exported) or {", ".join(CHECKPOINTS)} (checkpoint)'
        )
    if config is not None:
        raise InputError(f'config: {path} describes itself, a config is for checkpoints')
    if str(device) != 'cpu':
        raise InputError(f'device: {path} runs on the CPU, got {device!r}; a checkpoint can run on a GPU')
    if precision != 'fp32':
        raise InputError(f'precision: {path} has its own, got {precision!r}; it is chosen for a checkpoint on a GPU')
    return Detector(path, threads)
