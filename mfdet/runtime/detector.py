"""An exported detector: image files or arrays in, boxes in pixels of the original images out."""

import dataclasses
import importlib
import itertools
import json
import os
import textwrap
import time
from numbers import Real

import numpy as np

from mfdet.checksum import check_exported
from mfdet.errors import InputError
from mfdet.runtime.detections import Detections
from mfdet.runtime.images import find_images, from_pil, is_pil, read_image, to_bgr
from mfdet.runtime.names import INPUTS, OUTPUTS
from mfdet.runtime.openvino_core import openvino_core
from mfdet.runtime.phones import ExecuTorchModel, LiteRtModel
from mfdet.runtime.preprocessing import check_preprocessing, collate
from mfdet.suppression import check_suppression, suppress
from mfdet.values import is_count, is_text

FORMAT = 1  # of the metadata


class Detector:
    """A detector exported to ONNX (run by onnxruntime), OpenVINO, LiteRT or ExecuTorch, on the CPU.

    Args:
        path: the ``.onnx`` file, OpenVINO's ``.xml`` file with the ``.bin`` beside it, LiteRT's ``.tflite`` file, or
            ExecuTorch's ``.pte`` file, whose runtime needs torch.
        threads: number of CPU threads, or None for the backend's choice.

    Attributes:
        classes: list of class names.
        metadata: dict of what the file says about itself.

    Raises:
        InputError: the file is missing, damaged or no detector exported by mfdet, or the backend is not installed.
    """

    def __init__(self, path, threads=None):
        self.path = os.fspath(path)
        check_threads(threads)
        self._model = _load_model(self.path, threads)
        self.metadata = _read_metadata(self._model.metadata, self.path)
        self.classes = self.metadata['classes']
        for kind, names, found in (
            ('input', INPUTS, self._model.inputs),
            ('output', OUTPUTS, self._model.outputs),
        ):
            missing = [name for name in names if name not in found]
            if missing:
                raise InputError(f"{self.path}: has no {kind} '{missing[0]}', which an exported detector must have")

    def __call__(self, images, score_thr=0.0, batch_size=1):
        """Detect objects in one image or several.

        Args:
            images: a path, an array as :func:`mfdet.runtime.images.to_bgr` takes it (BGR as OpenCV reads it), an image
                of Pillow, or a list of those; sizes may differ.
            score_thr: least score to keep, in [0, 1].
            batch_size: how many images are read and run at a time.

        Returns:
            :class:`Detections` for one image; for a list, a list of them in the same order.

        Raises:
            InputError: an image cannot be read, or an argument is wrong.
        """
        if isinstance(images, str | os.PathLike | np.ndarray) or is_pil(images):
            return self([images], score_thr, batch_size)[0]
        if not isinstance(images, list | tuple):
            kinds = 'a path, an array, an image of Pillow or a list of those'
            raise InputError(f'images must be {kinds}, not {type(images).__name__}')
        self._check(score_thr, batch_size)
        return list(self._each(images, score_thr, batch_size))

    def stream(self, images, score_thr=0.0, batch_size=1):
        """Detect objects in many images, few at a time.

        Args:
            images: a path, a folder, a glob such as ``'photos/**/*.jpg'``, or any iterable of what a call takes; images
                of folders and globs come by name.
            score_thr, batch_size: as of a call.

        Yields:
            :class:`Detections` for each image, with its path as ``source``.

        Raises:
            InputError: nothing is there, an image cannot be read, or an argument is wrong.
        """
        self._check(score_thr, batch_size)
        if isinstance(images, str | os.PathLike):
            images = find_images(images)
        return self._each(images, score_thr, batch_size)

    def _each(self, images, score_thr, batch_size):
        numbered = enumerate(images)
        while batch := list(itertools.islice(numbered, batch_size)):
            found = self._detect([_load_image(image, i) for i, image in batch], score_thr)
            for (_, image), detections in zip(batch, found, strict=True):
                source = os.fspath(image) if isinstance(image, str | os.PathLike) else None
                yield dataclasses.replace(detections, source=source)

    @staticmethod
    def _check(score_thr, batch_size):
        if not (isinstance(score_thr, Real) and not isinstance(score_thr, bool) and 0 <= score_thr <= 1):
            raise InputError(f'score_thr must be from 0 to 1, not {score_thr!r}')
        if not is_count(batch_size):
            raise InputError(f'batch_size must be a whole number from 1 up, not {batch_size!r}')

    def run(self, images, sizes):
        """Run the bare model on a prepared batch, see :func:`mfdet.runtime.preprocessing.collate`.

        Args:
            images: float32 (B, 3, H, W).
            sizes: int64 (B, 2), height and width of each image before padding.

        Returns:
            boxes float32 (B, N, 4) xyxy in pixels of the prepared images, scores float32 (B, N) and labels
            int64 (B, N); rows with score 0 are unused.

        Raises:
            InputError: the backend cannot run the model on them, or scores or boxes are not finite.
        """
        images, sizes = np.ascontiguousarray(images, np.float32), np.ascontiguousarray(sizes, np.int64)
        fixed = self.metadata.get('fixed_size')
        if fixed:
            outputs = [
                self._run(self._pad(image, fixed), size[None]) for image, size in zip(images, sizes, strict=True)
            ]
            boxes, scores, labels = map(np.concatenate, zip(*outputs, strict=True))
        else:
            boxes, scores, labels = self._run(images, sizes)
        if 'nms' in self.metadata:
            boxes, scores, labels = suppress(boxes, scores, labels, **self.metadata['nms'])
        if not (np.isfinite(scores).all() and np.isfinite(boxes[scores > 0]).all()):  # else it would find nothing
            raise InputError(f'{self.path}: gives scores or boxes that are not finite; its weights are not sound')
        return boxes, scores, labels

    def _pad(self, image, fixed):
        """Return image (3, H, W) as a batch (1, 3, *fixed), padded with 0."""
        if image.shape[1] > fixed[0] or image.shape[2] > fixed[1]:
            raise InputError(
                f'{self.path}: takes images of {fixed[0]}×{fixed[1]} (height × width) at most, got '
                f'{image.shape[1]}×{image.shape[2]}; call the detector itself, which shrinks images, or export without '
                '--fixed-size'
            )
        if image.shape[1:] == tuple(fixed):  # as collate pads them
            return image[None]
        batch = np.zeros((1, len(image), *fixed), np.float32)
        batch[0, :, : image.shape[1], : image.shape[2]] = image
        return batch

    def _run(self, images, sizes):
        try:
            return self._model.run(images, sizes)
        except Exception as error:  # onnxruntime's errors have no other base class
            raise InputError(
                f'{self.path}: {self._model.package} cannot run it on images of shape {images.shape} and sizes of '
                f'shape {sizes.shape}: {_one_line(error)}'
            ) from error

    def timed(self, image, score_thr=0.0):
        """Detect objects in one image, and say how long it took.

        Args:
            image, score_thr: as of a call.

        Returns:
            :class:`Detections`, the seconds of preparing the image once it is read, and those of the model.

        Raises:
            InputError: as of a call.
        """
        self._check(score_thr, 1)
        found, *seconds = self._timed([_load_image(image, 0)], score_thr)
        return found[0], *seconds

    def _detect(self, images, score_thr):
        """Return the Detections of uint8 (H, W, 3) BGR images, run as one batch."""
        return self._timed(images, score_thr)[0]

    def _timed(self, images, score_thr):
        start = time.perf_counter()
        batch, sizes, factors = collate(images, self.metadata)
        ready = time.perf_counter()
        outputs = self.run(batch, sizes)
        done = time.perf_counter()
        found = [
            self._detections(*rows, image.shape, factor, score_thr)
            for *rows, image, factor in zip(*outputs, images, factors, strict=True)
        ]
        return found, ready - start, done - ready

    def _detections(self, boxes, scores, labels, shape, factor, score_thr):
        """Keep the rows of one image that count, with boxes in pixels of the original image."""
        keep = (scores > 0) & (scores >= score_thr)  # rows of score 0 are unused
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise InputError(
                f'{self.path}: gives labels from {labels.min()} to {labels.max()}, but its metadata names '
                f'{len(self.classes)} classes'
            )
        height, width = shape[:2]
        boxes = np.clip(boxes / np.float32([*factor, *factor]), 0, np.float32([width, height, width, height]))
        return Detections(boxes, scores, labels, [self.classes[label] for label in labels])


class _OnnxModel:
    package, install = 'onnxruntime', '"mfdet[runtime]"'

    def __init__(self, onnxruntime, path, threads):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions, they need not be printed as well
        if threads is not None:
            options.intra_op_num_threads = int(threads)
        self.session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        self.metadata = self.session.get_modelmeta().custom_metadata_map.get('mfdet')
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]

    def run(self, images, sizes):
        return tuple(self.session.run(OUTPUTS, {'images': images, 'sizes': sizes}))


class _OpenVinoModel:
    package, install = 'openvino', 'openvino'

    def __init__(self, openvino, path, threads):
        core = openvino_core()
        model = core.read_model(path)
        self.metadata = model.get_rt_info('mfdet').astype(str) if model.has_rt_info('mfdet') else None
        self.inputs = set().union(*(value.get_names() for value in model.inputs))
        self.outputs = set().union(*(value.get_names() for value in model.outputs))
        precision = 'bf16' if _precision_of(self.metadata).endswith('bf16') else 'f32'  # left out, OpenVINO decides
        options = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': precision}
        if threads is not None:
            options['INFERENCE_NUM_THREADS'] = int(threads)
            options['ENABLE_CPU_PINNING'] = False  # several detectors of few threads each would share the first cores
        self.compiled = core.compile_model(model, 'CPU', options)

    def run(self, images, sizes):
        results = self.compiled({'images': images, 'sizes': sizes})
        return tuple(results[name] for name in OUTPUTS)


def check_threads(threads):
    """Check a number of CPU threads.

    Raises:
        InputError: it is no whole number from 1 to four times the CPUs, nor None.
    """
    most = 4 * (os.cpu_count() or 1)  # many more would bring the machine down
    if threads is not None and not (is_count(threads) and threads <= most):
        raise InputError(f'threads must be a whole number from 1 to {most}, or None, not {threads!r}')


MODELS = {'.onnx': _OnnxModel, '.xml': _OpenVinoModel, '.tflite': LiteRtModel, '.pte': ExecuTorchModel}


def check_no_package(path):
    """Check that a model is no Core ML package.

    Raises:
        InputError: it is one.
    """
    if os.path.splitext(path)[1].lower() == '.mlpackage':
        raise InputError(f'{path}: a Core ML package runs on macOS and iOS alone; export the detector to ONNX as well')


def _load_model(path, threads):
    """Load a model with the backend that its suffix asks for."""
    check_no_package(path)
    model = MODELS.get(os.path.splitext(path)[1].lower())
    if model is None:
        raise InputError(f'{path}: an exported detector ends in {", ".join(MODELS)}')
    if not os.path.isfile(path):
        raise InputError(f'{path}: no such model file')
    try:
        backend = importlib.import_module(getattr(model, 'module', model.package))
    except ImportError as error:
        raise InputError(f'{path}: needs {model.package}: pip install {model.install}') from error
    check_exported(path)  # before the backend works on what may be damaged
    try:
        return model(backend, path, threads)
    except Exception as error:  # onnxruntime's errors have no other base class
        raise InputError(f'{path}: is no model that {model.package} can load: {_one_line(error)}') from error


def _precision_of(text):
    """Return the precision that metadata names, '' if there is none; the rest is checked later."""
    try:
        metadata = json.loads(text or '')
    except (ValueError, RecursionError):
        return ''
    return str(metadata.get('precision', '')) if isinstance(metadata, dict) else ''


def _read_metadata(text, path):
    """Parse and check the metadata that the exporter wrote into the file."""
    if text is None:
        raise InputError(f"{path}: has no 'mfdet' metadata, so it is not a model exported by mfdet")
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its 'mfdet' metadata is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: its 'mfdet' metadata must be an object, not {type(metadata).__name__}")
    if metadata.get('format') != FORMAT:
        raise InputError(
            f'{path}: its metadata has format {metadata.get("format")!r}, this version of mfdet reads format {FORMAT}; '
            'export the model again'
        )
    if metadata.get('task') != 'detection':
        raise InputError(f'{path}: is a model for {metadata.get("task")!r}, must be one for detection')
    classes = metadata.get('classes')
    if not isinstance(classes, list) or not classes or not all(map(is_text, classes)):
        raise InputError(f"{path}: metadata: 'classes' must be a list of names, not {classes!r}")
    try:
        check_preprocessing(metadata)
        if 'nms' in metadata:
            check_suppression(metadata['nms'])
    except InputError as error:
        raise InputError(f'{path}: metadata: {error}') from error
    metadata.pop('checksum', None)  # of this very file, and checked
    return metadata


def _load_image(image, index):
    """Return the image of a path, an array or Pillow as uint8 (H, W, 3) BGR; the index is for messages."""
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    if is_pil(image):
        return from_pil(image, f'image {index}')
    return to_bgr(image, f'image {index}')


def _one_line(error):
    return textwrap.shorten(str(error), 300, placeholder=' ...')
