"""ONNX with dynamic batch, height and width, by torch's current exporter."""

import contextlib
import io
import logging
import warnings

import torch

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.graph import ClassifierGraph
from mfdet.export.metadata import KEY, dumps

OPSET = 18


def _keep_by_nms():
    """Return the ONNX form of :func:`mfdet.export.graph.keep_by_nms`, in standard operators."""
    import onnx
    from onnxscript import opset18 as op

    def convert(boxes, scores, max_output: int, iou_threshold: float, score_threshold: float):
        def scalar(value, kind):
            return op.Constant(value=onnx.helper.make_tensor('value', kind, [1], [value]))

        chosen = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, scalar(1, onnx.TensorProto.INT64)),
            scalar(max_output, onnx.TensorProto.INT64),
            scalar(iou_threshold, onnx.TensorProto.FLOAT),
            scalar(score_threshold, onnx.TensorProto.FLOAT),
        )  # (chosen, 3): image, class, box
        where = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
        ones = op.Expand(scalar(1.0, onnx.TensorProto.FLOAT), op.Shape(chosen, start=0, end=1))
        zeros = op.Mul(scores, scalar(0.0, onnx.TensorProto.FLOAT))
        return op.Cast(op.ScatterND(zeros, where, ones), to=onnx.TensorProto.BOOL)

    return convert


def export_onnx(graph, metadata, path, optimize=True):
    """Write a graph as one ONNX file.

    Height and width may be any multiples of 32, up to 8192 pixels, the batch any size, unless they are fixed.

    Args:
        graph: of :func:`mfdet.export.graph.build_graph`.
        metadata: dict for the file's metadata; with ``fixed_size``, [H, W], the file takes single images of that size.
        path: the file; it is replaced if it exists.
        optimize: let the exporter simplify the graph; no use for OpenVINO, which does so better and sooner.

    Raises:
        InputError: a package is missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f'exporting to ONNX needs {error.name}: pip install "mfdet[export]"') from error
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 8):
        raise InputError(f'exporting to ONNX needs torch 2.8 or newer, this is {torch.__version__}')
    batch = torch.export.Dim('batch', min=1, max=1024)
    height, width = (torch.export.Dim(name, min=1, max=256) for name in ('rows', 'columns'))
    shapes = dict(images={0: batch, 2: 32 * height, 3: 32 * width})
    # Three different numbers, since the exporter would merge equal ones; and maps of more than one row and column,
    # since it takes a 1 for a constant.
    stride = graph.coarsest_stride
    inputs = (torch.randn(3, 3, 3 * stride, 2 * stride),)
    if not isinstance(graph, ClassifierGraph):
        shapes['sizes'] = {0: batch}
        inputs = (*inputs, torch.tensor([[96, 50], [70, 64], [50, 60]]) * stride // 32)
    names = list(shapes)
    if metadata.get('fixed_size'):
        shapes, inputs = None, (torch.randn(1, 3, *metadata['fixed_size']), *(value[:1] for value in inputs[1:]))
    graph = graph.eval().requires_grad_(False)
    with quiet():
        program = torch.onnx.export(
            graph,
            inputs,
            dynamo=True,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            optimize=optimize,
            input_names=names,
            output_names=list(graph.outputs),
            custom_translation_table={torch.ops.mfdet.keep_by_nms.default: _keep_by_nms()},
        )
    program.model.metadata_props[KEY] = dumps(metadata)
    program.model.producer_name, program.model.producer_version = 'mfdet', metadata['version']
    program.save(path)
    onnx.checker.check_model(path, full_check=True)
    stamp(path)


@contextlib.contextmanager
def quiet():
    """Keep progress and advice to developers, of exporters and quantisers, off the screen."""
    loggers = [logging.getLogger(name) for name in ('', 'torch.onnx', 'torch.export', 'onnxscript', 'onnx_ir')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        nowhere = io.StringIO()
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
