"""ExecuTorch files (.pte) of one image size for the XNNPACK backend; the method ``mfdet`` returns the metadata.

INT8 by ExecuTorch's own quantiser for XNNPACK.
"""

import logging
import operator

import torch

from mfdet.checksum import stamp
from mfdet.errors import InputError
from mfdet.export.metadata import KEY, dumps
from mfdet.export.onnx import quiet
from mfdet.export.quantized_layers import chosen, layer_of
from mfdet.export.xnnpack import for_xnnpack

CONVOLUTION, LINEAR = torch.ops.aten.conv2d.default, torch.ops.aten.linear.default
LARGE = 4096  # weights of a linear layer that make a file large


def inputs_of(metadata):
    """Return images and sizes to trace a graph with."""
    size = metadata['fixed_size']
    return torch.randn(1, 3, *size), torch.tensor([size], dtype=torch.float32)


def whole(exported):
    """Give an exported program constants of their own, in place, and return it.

    Of those that are part of a larger tensor, XNNPACK would be given the beginning of that.
    """
    exported.constants.update({name: value.clone() for name, value in exported.constants.items()})
    return exported


def traced(graph, inputs):
    """Return a graph as an exported program in operations that XNNPACK runs."""
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    return whole(constant_prop_pass(torch.export.export(for_xnnpack(graph, *inputs), inputs)))


def write(exported, metadata, path):
    """Write an exported program as a file; return the number of its operations that XNNPACK runs, and that of all."""
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
    try:
        import executorch.exir  # noqa: F401
    except ImportError as error:
        raise InputError('exporting to ExecuTorch needs executorch: pip install "mfdet[executorch]"') from error
    with quiet(), torch.no_grad():
        most, count = write(traced(graph, inputs_of(metadata)), metadata, path)
    return f'XNNPACK runs {most} of {count} operations', None


def worth_int8(node):
    """Tell whether an operation of a traced graph is worth INT8: a plain convolution of a map, a large linear layer.

    On 1×1 maps convolutions are the means of group norms, small linear layers the means of layer norms: to these eight
    bits are too few.
    """
    if node.target not in (CONVOLUTION, LINEAR) or node.args[1].op != 'get_attr':
        return False
    if node.target == LINEAR:
        return node.args[1].meta['val'].numel() >= LARGE
    groups = node.args[6] if len(node.args) > 6 else 1
    return groups == 1 and list(node.meta['val'].shape[2:]) != [1, 1]


def left_in_float(module, names=()):
    """Return the names of the convolutions and linear layers of a traced graph that stay in float32.

    Args:
        module: the graph.
        names: of layers or parts of the model whose convolutions stay so, besides what is not worth INT8.

    Raises:
        InputError: there is no layer of a name.
    """
    nodes = [node for node in module.graph.nodes if node.target in (CONVOLUTION, LINEAR)]
    layers, left = {}, {node.name for node in nodes if not worth_int8(node)}
    for node in nodes:
        if node.target == CONVOLUTION and node.name not in left:
            layer = layer_of(node.args[1].target.removeprefix('traced.detector.'))
            layers.setdefault(layer, []).append(node.name)
    return left | chosen(layers, names)


def unshare(module):
    """Give each convolution and linear layer weights of its own, in place.

    Weights of more than one, such as the head's for all maps, would be in INT8 in one of them and in float32 in the
    others, and XNNPACK takes no tensor as both. Equal ones are stored once in a file.
    """
    used = set()
    for node in [node for node in module.graph.nodes if node.target in (CONVOLUTION, LINEAR)]:
        for i, source in enumerate(node.args[1:3], 1):
            if source is None or source.op != 'get_attr':
                continue
            name = source.target
            if name in used:
                name = f'own_{len(used)}'
                module.register_buffer(name, operator.attrgetter(source.target)(module).detach().clone())
                with module.graph.inserting_before(node):
                    copy = module.graph.get_attr(name)
                copy.meta['val'] = source.meta['val']
                node.update_arg(i, copy)
            used.add(name)
    module.recompile()


def quantize_executorch(graph, path, metadata, inputs, float_layers=()):
    """Write an ExecuTorch detector in INT8: convolutions with fixed ranges, linear layers with those of each input.

    Args:
        graph, path, metadata: see :func:`export_executorch`.
        inputs: dicts of name to array, prepared images to measure the ranges of activations on.
        float_layers: names of layers or parts of the model whose convolutions stay as they are.

    Returns:
        The number of convolutions in INT8.

    Raises:
        InputError: there is no layer of a name.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    with quiet(), torch.no_grad():
        example = inputs_of(metadata)
        module = traced(graph, example).module()
        left = left_in_float(module, float_layers)
        count = sum(node.target == CONVOLUTION and node.name not in left for node in module.graph.nodes)
        unshare(module)
        quantizer = XNNPACKQuantizer().set_filter_function(lambda node: node.name not in left)
        for kind, dynamic in ((CONVOLUTION, False), (LINEAR, True)):
            config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
            quantizer.set_operator_type(kind, config)
        module = prepare_pt2e(module, quantizer)
        for entry in inputs:
            module(torch.from_numpy(entry['images']), torch.from_numpy(entry['sizes']).float())
        write(whole(torch.export.export(convert_pt2e(module), example)), metadata, path)
    return count
