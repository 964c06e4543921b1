"""Core ML packages (.mlpackage) of one image size, by coremltools, with metadata inside.

Core ML runs on Apple's systems alone. What is compared with PyTorch is the program that is converted; the package
itself has not been run.
"""

import json
import os

import torch
import torch.nn.functional as F
from torch import nn

from mfdet.errors import InputError
from mfdet.export.lowering import Lowering, lowered
from mfdet.export.metadata import KEY
from mfdet.export.onnx import quiet
from mfdet.export.phone_graph import PhoneGraph
from mfdet.runtime.names import INPUTS
from mfdet.suppression import suppress

aten = torch.ops.aten


def block_diagonal(matrices):
    """Return matrices (Hi, Wi) on the diagonal of one, which is 0 elsewhere."""
    width, place, rows = sum(matrix.shape[1] for matrix in matrices), 0, []
    for matrix in matrices:
        rows.append(F.pad(matrix, (place, width - place - matrix.shape[1])))
        place += matrix.shape[1]
    return torch.cat(rows)


def clamped(x, low=None, high=None):
    """Return whole numbers within bounds; the converter makes float ones of them, which are no indices."""
    if x.is_floating_point():
        return NotImplemented
    for bound, nearest in ((low, torch.maximum), (high, torch.minimum)):
        if bound is not None:
            x = nearest(x, torch.full((1,), bound, dtype=x.dtype))
    return x


def quotient(x, count):
    """Return a whole number of whole numbers, see :func:`clamped`."""
    if x.is_floating_point():
        return NotImplemented
    return aten.floor_divide.default(x, count).to(torch.int32).to(torch.int64)


class CoreMLLowering(Lowering):
    """Runs a traced graph in the operations that coremltools converts."""

    table = {
        aten.block_diag.default: block_diagonal,
        aten.clamp.default: clamped,
        aten.floor_divide.default: quotient,
        aten.__and__.Tensor: torch.logical_and,
        aten.__or__.Tensor: torch.logical_or,
        aten.bitwise_not.default: torch.logical_not,
        aten.alias.default: lambda x: x,
        aten._assert_tensor_metadata.default: lambda *args, **kwargs: None,
    }


class InOrder(nn.Module):
    """The outputs of a graph as a tuple, which tracing wants."""

    def __init__(self, graph):
        super().__init__()
        self.detector = graph  # traced modules have a "graph" of their own

    def forward(self, images, sizes):
        """Return boxes, scores and labels."""
        outputs = self.detector(images, sizes)
        return tuple(outputs[name] for name in PhoneGraph.outputs)


def for_coreml(graph, size):
    """Return what is converted, a traced module from images and sizes to boxes, scores and labels, and its inputs."""
    inputs = torch.randn(1, 3, *size), torch.tensor([size], dtype=torch.float32)
    with torch.no_grad():
        program = InOrder(lowered(graph, *inputs, CoreMLLowering)).eval()
        return torch.jit.trace(program, inputs, check_trace=False), inputs


def run_by_torch(program, metadata):
    """Return a function that runs what is converted, as :meth:`mfdet.runtime.Detector.run`, on images of its size."""

    def run(images, sizes):
        batches = zip(torch.from_numpy(images).split(1), torch.from_numpy(sizes).float().split(1), strict=True)
        with torch.no_grad():
            found = [program(*batch) for batch in batches]
        outputs = [torch.cat(rows).numpy() for rows in zip(*found, strict=True)]
        return suppress(*outputs, **metadata['nms']) if 'nms' in metadata else outputs

    return run


def open_to_others(path):
    """Give a folder and all in it the rights that new files have here; coremltools leaves them to their owner."""
    mask = os.umask(0)
    os.umask(mask)
    for place, _, names in os.walk(path):
        os.chmod(place, 0o777 & ~mask)
        for name in names:
            os.chmod(os.path.join(place, name), 0o666 & ~mask)


def export_coreml(graph, metadata, path):
    """Write a graph as one Core ML package, an ML program in float32 for iOS 17 and macOS 14 and newer.

    Args:
        graph: of :func:`mfdet.export.phone_graph.build_phone_graph`, its layout 'NCHW'.
        metadata: dict for the package's metadata, with ``fixed_size``, [H, W].
        path: the package, a folder that must not exist.

    Returns:
        A line on what was written, and what was converted as a function, see :func:`run_by_torch`.

    Raises:
        InputError: coremltools is missing.
    """
    try:
        with quiet():  # on what it lacks outside of macOS
            import coremltools
    except ImportError as error:
        raise InputError('exporting to Core ML needs coremltools: pip install "mfdet[coreml]"') from error
    with quiet():
        program, inputs = for_coreml(graph, metadata['fixed_size'])
        package = coremltools.convert(
            program,
            inputs=[coremltools.TensorType(name, tensor.shape) for name, tensor in zip(INPUTS, inputs, strict=True)],
            outputs=[coremltools.TensorType(name) for name in PhoneGraph.outputs],
            convert_to='mlprogram',
            minimum_deployment_target=coremltools.target.iOS17,
            compute_precision=coremltools.precision.FLOAT32,
            skip_model_load=True,
        )
        package.user_defined_metadata[KEY] = json.dumps(metadata, ensure_ascii=False)
        package.save(os.fspath(path))
    open_to_others(path)
    line = 'a Core ML package can be run on macOS and iOS alone: what it was converted from is compared, it was not run'
    return line, run_by_torch(program, metadata)
