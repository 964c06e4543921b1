"""LiteRT files (.tflite) of one image size, by litert-torch, with metadata inside; INT8 by ai-edge-quantizer."""

import json
import os
import re
from pathlib import Path

import numpy as np
import torch

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.calibration import check_ai_edge_quantizer
from mfdet.export.metadata import KEY, dumps
from mfdet.export.onnx import quiet
from mfdet.export.xnnpack import for_xnnpack
from mfdet.runtime.phones import litert_metadata


def export_litert(graph, metadata, path):
    """Write a graph as one LiteRT file.

    Args:
        graph: of :func:`mfdet.export.phone_graph.build_phone_graph`, its layout 'NHWC'.
        metadata: dict for the file's metadata, with ``fixed_size``, [H, W].
        path: the file; it is replaced if it exists.

    Returns:
        A line on the share of its operations that XNNPACK runs, and None.

    Raises:
        InputError: litert-torch is missing.
    """
    try:
        import litert_torch
    except ImportError as error:
        raise InputError('exporting to LiteRT needs litert-torch: pip install "mfdet[litert]"') from error
    images = torch.randn(1, *metadata['fixed_size'], 3)
    inputs = dict(images=images, sizes=torch.tensor([metadata['fixed_size']], dtype=torch.float32))
    litert_torch.progress.config.show_progress = False
    with quiet():
        program = for_xnnpack(graph, **inputs)
        litert_torch.convert(program, sample_kwargs=inputs, strict_export=False).export(os.fspath(path))
    with_metadata(path, metadata)
    most, count = delegated(path)
    return f'XNNPACK runs {most} of {count} operations', None


def delegated(path):
    """Return the number of operations of a LiteRT file that XNNPACK runs, and that of all."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(os.fspath(path), num_threads=1)
    interpreter.allocate_tensors()
    operations = interpreter._get_ops_details()
    own = [operation for operation in operations if operation['op_name'] != 'DELEGATE']
    maker = {output: operation for operation in own for output in operation['outputs']}
    inside = set()
    for part in (operation for operation in operations if operation['op_name'] == 'DELEGATE'):
        left = set(part['outputs']) - set(part['inputs'])
        while left:  # back to the inputs of the part
            operation = maker.get(left.pop())
            if operation is not None and operation['index'] not in inside:
                inside.add(operation['index'])
                left |= set(operation['inputs']) - set(part['inputs'])
    return len(inside), len(own)


def read_content(path):
    """Return a LiteRT file as the schema's ``ModelT``, all of its tensors inside."""
    from ai_edge_litert import schema_py_generated as schema

    with open(path, 'rb') as file:
        content = file.read()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the quantiser puts tensors behind the model; 0 and 1 stand for none
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def with_metadata(path, metadata):
    """Write metadata into a LiteRT file, in place of what it has."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = read_content(path)
    entries = [entry for entry in model.metadata or [] if entry.name.decode() == KEY]
    if not entries:
        entries = [schema.MetadataT()]
        entries[0].name, entries[0].buffer = KEY, len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.metadata = [*(model.metadata or []), *entries]
    # In the same buffer: of two texts in a file, the checksum would be put into the wrong one.
    model.buffers[entries[0].buffer].data = list(dumps(metadata).encode())
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b'TFL3')
    with open(path, 'wb') as file:
        file.write(builder.Output())
    stamp(path)


def quantized_operations(path):
    """Return the names of the convolutions of a LiteRT file that are worth INT8, those of maps.

    On 1×1 maps convolutions are the means of group norms, to which eight bits are too few; depthwise ones are another
    operation.
    """
    from ai_edge_litert import schema_py_generated as schema

    model, kind = read_content(path), schema.BuiltinOperator.CONV_2D
    found = []
    for part in model.subgraphs:
        for operation in part.operators:
            (output, *_) = (part.tensors[i] for i in operation.outputs)
            if model.operatorCodes[operation.opcodeIndex].builtinCode == kind and list(output.shape[1:3]) != [1, 1]:
                found.append(output.name.decode())
    return found


class Signatures:
    """Inputs of a LiteRT file as its signature names them, for those of :class:`mfdet.export.calibration.Batches`."""

    def __init__(self, inputs):
        self.inputs = inputs

    def __len__(self):
        return len(self.inputs)

    def __iter__(self):
        for entry in self.inputs:
            yield dict(
                images=np.ascontiguousarray(entry['images'].transpose(0, 2, 3, 1)),
                sizes=entry['sizes'].astype(np.float32),
            )


def quantize_litert(source, path, metadata, inputs):
    """Write a LiteRT detector in INT8: its convolutions compute so, linear layers' weights are stored so.

    Args:
        source: the float file.
        path: the file to write.
        metadata: of the file to write; what the float file says of its layout and suppression is kept.
        inputs: sequence of dicts of name to array, prepared images to measure the ranges of activations on.

    Returns:
        The number of convolutions in INT8.

    Raises:
        InputError: ai-edge-quantizer is missing.
    """
    check_ai_edge_quantizer()
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer

    with quiet():
        quantizer = Quantizer(os.fspath(source))
        names = quantized_operations(source)
        for name in names:
            quantizer.add_static_config(f'^{re.escape(name)};?$', TFLOperationName.CONV_2D, 8, 8)
        quantizer.add_weight_only_config('.*', TFLOperationName.FULLY_CONNECTED, 8)
        ranges = quantizer.calibrate({'serving_default': Signatures(inputs)}, num_threads=1)
        written = quantizer.quantize(ranges, enable_progress_report=False)
    Path(path).write_bytes(written.quantized_model)
    with_metadata(path, json.loads(litert_metadata(schema.Model.GetRootAs(Path(source).read_bytes(), 0))) | metadata)
    return len(names)
