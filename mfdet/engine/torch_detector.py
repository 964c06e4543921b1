"""A checkpoint behind the call of :class:`mfdet.runtime.Detector`."""

import threading

import torch
from mmdet.models.detectors import SingleStageDetector

import mfdet.register  # noqa: F401
from mfdet.engine.cuda_graph import record
from mfdet.engine.inference import load_model
from mfdet.engine.precision import autocast, check_precision, store_weights
from mfdet.errors import InputError
from mfdet.export.graph import build_graph
from mfdet.export.metadata import describe
from mfdet.models.fuse import fuse
from mfdet.runtime import Detector
from mfdet.runtime.detector import check_threads
from mfdet.runtime.preprocessing import check_preprocessing


class TorchDetector(Detector):
    """A detector that runs in PyTorch.

    On the CPU it has the form of :func:`mfdet.models.fuse.fuse`, on a GPU :mod:`mfdet.engine.cuda_graph` launches it.

    Args:
        path: the checkpoint.
        config: config file, or None for the config in the checkpoint.
        device: torch device.
        threads: CPU threads, None for torch's choice.
        precision: 'fp32', 'fp16' or 'bf16'; the last two are for GPUs.

    Raises:
        InputError: a file is missing or wrong, or there is no such device, or none that has the precision.
    """

    def __init__(self, path, config=None, device='cpu', threads=None, precision='fp32'):
        check_threads(threads)
        check_precision(precision, device)
        self.path = path
        model, config, classes = load_model(config, path)
        if threads is not None:
            torch.set_num_threads(threads)
        if not isinstance(model, SingleStageDetector):
            raise InputError(f'{path}: is a {type(model).__name__}, must be a detector')
        try:
            self.metadata = describe(model, config, classes)
            check_preprocessing(self.metadata)
        except InputError as error:
            raise InputError(f'{path}: {error}') from error
        except Exception as error:  # the stored config may be wrong in any way
            raise InputError(f'{path}: its config does not say how to prepare images: {error}') from error
        self._model = _TorchModel(model, device, precision)
        self.classes = self.metadata['classes']


class _TorchModel:
    package = 'torch'

    def __init__(self, model, device, precision):
        self.precision = precision
        self.lock = threading.Lock()  # a recording has one set of inputs and outputs
        try:
            self.device = torch.device(device)
            self.graph = store_weights(build_graph(model).to(self.device).requires_grad_(False), precision)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise InputError(f'device: {device!r} cannot be used: {str(error).splitlines()[0]}') from error
        if self.device.type == 'cpu':
            fuse(model)  # in place
        elif self.device.type == 'cuda':
            record(self.graph)

    def run(self, images, sizes):
        with self.lock, torch.inference_mode(), autocast(self.device, self.precision):
            outputs = self.graph(*(torch.from_numpy(array).to(self.device) for array in (images, sizes)))
            return tuple(output.cpu().numpy() for output in outputs)
