"""Files for phones, of each kind, of a detector."""

import os
import textwrap

from mfdet.errors import InputError
from mfdet.export.coreml import export_coreml
from mfdet.export.executorch import export_executorch
from mfdet.export.litert import export_litert
from mfdet.export.phone_graph import build_phone_graph

KINDS = {  # with the layout of the images
    '.tflite': (export_litert, 'NHWC'),
    '.pte': (export_executorch, 'NCHW'),
    '.mlpackage': (export_coreml, 'NCHW'),
}


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
    try:
        return export(graph, metadata | more, path)
    except InputError:
        raise
    except Exception as error:  # a converter may fail in any way, over any operation
        reason = textwrap.shorten(str(error), 300, placeholder=' ...')
        raise InputError(f'{os.path.basename(path)}: the converter fails on this model: {reason}') from error
