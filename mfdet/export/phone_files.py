"""Files for phones, of each kind, of a detector."""

import contextlib
import os
import textwrap

from mfdet.errors import InputError
from mfdet.export.coreml import export_coreml
from mfdet.export.executorch import export_executorch
from mfdet.export.executorch_int8 import quantize_executorch
from mfdet.export.litert import export_litert, quantize_litert
from mfdet.export.phone_graph import build_phone_graph

KINDS = {  # with the layout of the images
    '.tflite': (export_litert, 'NHWC'),
    '.pte': (export_executorch, 'NCHW'),
    '.mlpackage': (export_coreml, 'NCHW'),
}


@contextlib.contextmanager
def converting(path):
    """Name the file where a converter fails, which it may in any way, over any operation.

    Raises:
        InputError: it does.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = textwrap.shorten(str(error), 300, placeholder=' ...')
        raise InputError(f'{os.path.basename(path)}: the converter fails on this model: {reason}') from error


def export_for_phones(model, metadata, path):
    """Write a detector as the kind of file that the path's ending says.

    Args:
        model: the detector; it is left as it is.
        metadata: of :func:`mfdet.export.metadata.describe`, with ``fixed_size``; the layout of the images and what
            non-maximum suppression the runtime has to do are added to it in the file.
        path: the file; it is replaced if it exists, save a Core ML package, which must not.

    Returns:
        A line on what was written, and a function as :meth:`mfdet.runtime.Detector.run` to compare with PyTorch in
        place of the file, None if the runtime runs that.

    Raises:
        InputError: a package is missing, there is no such file for this kind of model, or it cannot be converted.
    """
    export, layout = KINDS[os.path.splitext(path)[1]]
    graph, more = build_phone_graph(model, metadata['normalized'], layout)
    with converting(path):
        return export(graph, metadata | more, path)


def quantize_for_phones(model, source, path, metadata, inputs, float_layers=()):
    """Write a detector in INT8 as the kind of file that the path's ending says, .tflite or .pte.

    Args:
        model: the detector; it is left as it is.
        source: its file in float32, of which LiteRT's is made.
        path: the file to write.
        metadata: of the file to write, with ``precision``.
        inputs: sequence of dicts of name to array, prepared images to measure the ranges of activations on.
        float_layers: names of layers or parts of the model that stay as they are; none for LiteRT.

    Returns:
        The number of convolutions in INT8.

    Raises:
        InputError: a package is missing, there is no layer of a name, or it cannot be converted.
    """
    with converting(path):
        if os.path.splitext(path)[1] == '.tflite':
            return quantize_litert(source, path, metadata, inputs)
        graph, more = build_phone_graph(model, metadata['normalized'])
        return quantize_executorch(graph, path, metadata | more, inputs, float_layers)
