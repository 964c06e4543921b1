"""INT8 for ONNX Runtime: static quantisation of an exported detector."""

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.metadata import KEY, dumps
from mfdet.export.onnx import quiet
from mfdet.export.quantized_layers import chosen, layer_of


def quantized_nodes(model, float_layers=()):
    """Name the nodes to quantise: the convolutions, but depthwise and grouped ones and those of ``float_layers``.

    With depthwise ones in INT8, a detector takes longer than in float32 (docs/performance.md). Everything else stays in
    float: coefficients of dynamic ReLU, attention and queries.
    """
    weights = {tensor.name for tensor in model.graph.initializer}

    def grouped(node):
        return any(attribute.name == 'group' and attribute.i > 1 for attribute in node.attribute)

    layers = {}
    for node in model.graph.node:
        if node.op_type == 'Conv' and node.input[1] in weights and not grouped(node):
            layers.setdefault(layer_of(node.input[1]), []).append(node.name)
    kept = chosen(layers, float_layers)
    return [name for names in layers.values() for name in names if name not in kept]


def quantize_onnx(source, path, metadata, inputs, float_layers=()):
    """Write an ONNX detector with INT8 convolutions, in QDQ form.

    Args:
        source: the float file.
        path: the file to write.
        metadata: of the file to write.
        inputs: dicts of name to array, prepared images to measure the ranges of activations on.
        float_layers: see :func:`quantized_nodes`.

    Returns:
        The number of quantised convolutions.

    Raises:
        InputError: onnxruntime is missing, or there is no layer of a name.
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
        raise InputError(f'--precision int8 needs {error.name}: pip install "mfdet[export]"') from error
    batches = iter(inputs)

    class Reader(CalibrationDataReader):
        def get_next(self):
            return next(batches, None)

    nodes = quantized_nodes(onnx.load(source), float_layers)
    with quiet():
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
            extra_options=dict(CalibMovingAverage=True),  # of batches: the extremes of all images are outliers'
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: dumps(metadata)})
    onnx.save(model, path)
    stamp(path)
    return len(nodes)
