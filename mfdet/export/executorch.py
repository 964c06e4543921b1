"""ExecuTorch files (.pte) of one image size for the XNNPACK backend; the method ``mfdet`` returns the metadata."""

import importlib.util
import logging

import torch

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.metadata import KEY, dumps
from mfdet.export.onnx import quiet
from mfdet.export.xnnpack import for_xnnpack


def check_executorch():
    """Check that what exports to ExecuTorch is installed.

    Raises:
        InputError: it is not.
    """
    if importlib.util.find_spec('executorch') is None:
        raise InputError('exporting to ExecuTorch needs executorch: pip install "mfdet[executorch]"')


def inputs_of(metadata):
    """Return images (1, 3, H, W) and sizes (1, 2) to trace a graph with."""
    size = metadata['fixed_size']
    return torch.randn(1, 3, *size), torch.tensor([size], dtype=torch.float32)


def traced(graph, inputs):
    """Return a graph as an exported program in operations that XNNPACK runs."""
    return torch.export.export(for_xnnpack(graph, *inputs), inputs)


def folded(exported):
    """Return an exported program whose constants are computed."""
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    return own_constants(constant_prop_pass(exported))


def own_constants(exported):
    """Give an exported program constants of their own, in place, and return it.

    Of those that are part of a larger tensor, XNNPACK would be given the beginning of that.
    """
    exported.constants.update({name: value.clone() for name, value in exported.constants.items()})
    return exported


def write_program(exported, metadata, path):
    """Write an exported program as a file.

    Returns:
        The number of its operations that XNNPACK runs, and that of all.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.devtools.backend_debug import get_delegation_info
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    logging.getLogger('executorch').setLevel(logging.ERROR)
    program = to_edge_transform_and_lower(
        exported,
        partitioner=[XnnpackPartitioner()],
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
        constant_methods={KEY: torch.tensor(list(dumps(metadata).encode()), dtype=torch.uint8)},
    )
    counts = get_delegation_info(program.exported_program().graph_module)
    with open(path, 'wb') as file:
        program.to_executorch().write_to_file(file)
    stamp(path)
    return counts.num_delegated_nodes, counts.num_delegated_nodes + counts.num_non_delegated_nodes


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
    check_executorch()
    with quiet(), torch.no_grad():
        most, count = write_program(folded(traced(graph, inputs_of(metadata))), metadata, path)
    return f'XNNPACK runs {most} of {count} operations', None
