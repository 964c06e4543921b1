"""LiteRT files (.tflite) of one image size, by litert-torch, with metadata inside."""

import os

import torch

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.metadata import KEY, dumps
from mfdet.export.onnx import quiet
from mfdet.export.xnnpack import for_xnnpack


def export_litert(graph, metadata, path):
    """Write a graph as one LiteRT file.

    Args:
        graph: of :func:`mfdet.export.phone_graph.build_phone_graph`, its layout 'NHWC'.
        metadata: dict for the file's metadata, with ``fixed_size``, [H, W].
        path: the file; it is replaced if it exists.

    Returns:
        The number of operations that XNNPACK runs, and that of all.

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
    return delegated(path)


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


def with_metadata(path, metadata):
    """Write metadata into a LiteRT file that has none."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    with open(path, 'rb') as file:
        content = file.read()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer, buffer.data = KEY, len(model.buffers), list(dumps(metadata).encode())
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b'TFL3')
    with open(path, 'wb') as file:
        file.write(builder.Output())
    stamp(path)
