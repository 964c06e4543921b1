"""ExecuTorch files (.pte) of one image size for the XNNPACK backend; the method ``mfdet`` returns the metadata."""

import logging

import torch

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.metadata import KEY, dumps
from mfdet.export.onnx import quiet
from mfdet.export.xnnpack import for_xnnpack


def export_executorch(graph, metadata, path):
    """Write a graph as one ExecuTorch file.

    Args:
        graph: of :func:`mfdet.export.phone_graph.build_phone_graph`, its layout 'NCHW'.
        metadata: dict for the file's metadata, with ``fixed_size``, [H, W].
        path: the file; it is replaced if it exists.

    Returns:
        A line on the share of its operations that XNNPACK runs, and None.

    Raises:
        InputError: executorch is missing.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.devtools.backend_debug import get_delegation_info
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
        from executorch.exir.passes.constant_prop_pass import constant_prop_pass
    except ImportError as error:
        raise InputError('exporting to ExecuTorch needs executorch: pip install "mfdet[executorch]"') from error
    size = metadata['fixed_size']
    inputs = torch.randn(1, 3, *size), torch.tensor([size], dtype=torch.float32)
    text = torch.tensor(list(dumps(metadata).encode()), dtype=torch.uint8)
    with quiet(), torch.no_grad():
        logging.getLogger('executorch').setLevel(logging.ERROR)
        exported = constant_prop_pass(torch.export.export(for_xnnpack(graph, *inputs), inputs))
        # Of those that are part of a larger tensor, XNNPACK would be given the beginning of that.
        exported.constants.update({name: value.clone() for name, value in exported.constants.items()})
        program = to_edge_transform_and_lower(
            exported,
            partitioner=[XnnpackPartitioner()],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
            constant_methods={KEY: text},
        )
        counts = get_delegation_info(program.exported_program().graph_module)
        program = program.to_executorch()
    with open(path, 'wb') as file:
        program.write_to_file(file)
    stamp(path)
    count = counts.num_delegated_nodes + counts.num_non_delegated_nodes
    return f'XNNPACK runs {counts.num_delegated_nodes} of {count} operations', None
