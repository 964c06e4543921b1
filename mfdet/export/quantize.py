"""Static INT8 quantisation of an exported ONNX detector."""

import os

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES
from mfdet.runtime import read_image
from mfdet.runtime.preprocessing import collate

BATCH = 4


def calibration_images(folder, limit=128):
    """Return the paths of the first ``limit`` images of a folder, by name.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not os.path.isdir(folder):
        raise InputError(f'--calibration {folder}: no such folder')
    paths = sorted(entry.path for entry in os.scandir(folder) if entry.name.lower().endswith(IMAGE_SUFFIXES))[:limit]
    if not paths:
        raise InputError(f'--calibration {folder}: it holds no images; name a folder with some of the training images')
    return paths


def batches_of(paths, metadata):
    """Yield prepared inputs, ``images`` and ``sizes``, for each few images; one that cannot be read is an error."""
    for start in range(0, len(paths), BATCH):
        images, sizes, _ = collate([read_image(path) for path in paths[start : start + BATCH]], metadata)
        yield dict(images=images, sizes=sizes)


def quantized_nodes(model):
    """Name the nodes to quantise: the convolutions of the backbone, the neck and the head's towers.

    Everything else stays in float: coefficients of dynamic ReLU, attention, queries, and the last layers, whose errors
    go straight into scores and boxes.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == 'Conv' and node.input[1] in weights and node.input[1].endswith('.conv.weight')
    ]


def quantize(source, path, metadata, folder):
    """Write an ONNX detector with INT8 convolutions, in QDQ form.

    Args:
        source: the float file.
        path: the file to write.
        metadata: of the detector.
        folder: images to measure the ranges of activations on.

    Returns:
        The number of quantised convolutions and of calibration images.

    Raises:
        InputError: onnxruntime is missing, or the images cannot be used.
    """
    try:
        import onnx
        from onnxruntime.quantization import (
            CalibrationDataReader,
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )
    except ImportError as error:
        raise InputError(f'--int8 needs {error.name}: pip install "mfdet[export]"') from error
    paths = calibration_images(folder)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches = batches_of(paths, metadata)

        def get_next(self):
            return next(self.batches, None)

    nodes = quantized_nodes(onnx.load(source))
    quantize_static(
        source,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=['Conv'],
        nodes_to_quantize=nodes,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    stamp(path)  # the metadata came over with the checksum of the float file
    return len(nodes), len(paths)
