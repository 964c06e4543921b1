"""OpenVINO's form of an exported graph: in float32, with half the weights' bits, for bfloat16, and in INT8 by NNCF."""

import logging
import os

import numpy as np

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.calibration import check_nncf
from mfdet.export.metadata import KEY, dumps
from mfdet.export.onnx import quiet
from mfdet.export.quantized_layers import chosen, convolutions
from mfdet.runtime.openvino_core import openvino_core

CONVOLUTIONS = ('Convolution', 'GroupConvolution')  # the latter are depthwise


def save(model, metadata, path, half=False):
    """Write an ``openvino.Model`` as IR, ``path`` (.xml) and the .bin beside it, with metadata.

    Raises:
        OSError: a file cannot be written.
    """
    import openvino

    model.set_rt_info(dumps(metadata), KEY)
    try:
        openvino.save_model(model, path, compress_to_fp16=half)
    except RuntimeError as error:  # "basic_ios::clear: iostream error" on a full disk
        raise OSError(f'OpenVINO stops at {os.path.basename(path)} ({error}), is the disk full?') from error
    stamp(path)


def convert_to_openvino(onnx_path, metadata, path, half=False):
    """Write an ONNX file as OpenVINO IR, in FP32 or FP16 weights; see :func:`save`.

    Raises:
        InputError: openvino is missing.
        OSError: a file cannot be written.
    """
    try:
        import openvino
    except ImportError as error:
        raise InputError('exporting to OpenVINO needs openvino: pip install openvino') from error
    save(openvino.convert_model(onnx_path), metadata, path, half)


def for_bfloat16(source, path, metadata):
    """Write a copy of an OpenVINO detector that :class:`mfdet.runtime.Detector` runs in bfloat16 where the CPU has it.

    The weights stay in float32: OpenVINO converts them as it loads them.
    """
    save(openvino_core().read_model(source), metadata, path)


def computes_in_bfloat16():
    """Return whether OpenVINO computes in bfloat16 on this CPU, where it is asked to."""
    return 'BF16' in openvino_core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


def hold_scales(model):
    """Keep the scale of a quantised convolution from being moved into the GroupNorm after it, in place.

    OpenVINO (2026.4) moves the factor from INT8 back to float past the operations that follow; past those of the
    normalisation of :class:`mfdet.layers.pyramid.MaskedGroupNorm` it makes zeros of the map. It stops at a maximum,
    here with a number that is below all others.

    Args:
        model: ``openvino.Model``. Convolutions whose output goes to more than one operation are those before a norm.
    """
    from openvino import opset13 as opset

    for operation in model.get_ordered_ops():
        if operation.get_type_name() == 'Convolution':
            output = operation.output(0)
            readers = output.get_target_inputs()
            if len(readers) > 1:
                held = opset.maximum(output, opset.constant(np.finfo(np.float32).min))
                for reader in readers:
                    reader.replace_source_output(held.output(0))


def independent_of_images(model):
    """Return the names of the matrix products of an ``openvino.Model`` that depend on no more than input shapes.

    Such are the first linear layers of learned tokens. OpenVINO (2026.4) computes them beforehand once the sizes are
    given, and fails where their weights are in INT8.
    """
    dependent, names = set(), []
    for operation in model.get_ordered_ops():
        kind = operation.get_type_name()
        sources = [value.get_node().get_friendly_name() for value in operation.input_values()]
        if kind == 'Parameter' or (kind != 'ShapeOf' and dependent.intersection(sources)):
            dependent.add(operation.get_friendly_name())
        elif kind == 'MatMul':
            names.append(operation.get_friendly_name())
    return names


def quantize_openvino(source, path, metadata, inputs, float_layers=()):
    """Write an OpenVINO model in INT8: its convolutions compute so, the other layers' weights are stored so.

    Depthwise convolutions, attention and dynamic ReLUs compute in float32, or in bfloat16 where the runtime is asked
    to: in INT8 they take longer, as each needs its input converted, and cost AP (docs/performance.md). Linear layers
    have most of the weights: stored in 8 bits, they make the file small.

    Args:
        source: the float file (.xml).
        path: the file to write; the .bin is put beside it.
        metadata: of the file to write.
        inputs: sequence of dicts of name to array, prepared images to measure the ranges of activations on.
        float_layers: names of layers or parts of the model whose convolutions stay as they are.

    Returns:
        The number of convolutions in INT8.

    Raises:
        InputError: nncf is missing, or there is no layer of a name.
        OSError: a file cannot be written.
    """
    check_nncf()
    import nncf

    model = openvino_core().read_model(source)
    layers = convolutions(model)
    kept = chosen(layers, float_layers)
    kinds = {operation.get_type_name() for operation in model.get_ops()}
    others = sorted(kinds - {'Convolution', 'Constant', 'Parameter', 'Result'})
    nncf.set_log_level(logging.ERROR)
    with quiet():
        model = nncf.quantize(
            model,
            nncf.Dataset(inputs),
            preset=nncf.QuantizationPreset.MIXED,  # activations of both signs: there are few ReLUs
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=sorted(kept), types=others, validate=False),
        )
        hold_scales(model)
        model = nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode.INT8_SYM,
            ignored_scope=nncf.IgnoredScope(  # one kind may be missing
                names=independent_of_images(model), types=list(CONVOLUTIONS), validate=False
            ),
        )
    save(model, metadata, path)
    return sum(map(len, layers.values())) - len(kept)
