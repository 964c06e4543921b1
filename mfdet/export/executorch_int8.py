"""ExecuTorch files in INT8, by ExecuTorch's own quantiser for XNNPACK."""

import operator

import torch

from mfdet.export.executorch import check_executorch, folded, inputs_of, own_constants, traced, write_program
from mfdet.export.onnx import quiet
from mfdet.export.quantized_layers import chosen, layer_of

CONVOLUTION, LINEAR = torch.ops.aten.conv2d.default, torch.ops.aten.linear.default
MODEL = 'traced.detector.'  # where the traced program has the parameters of a graph, before "model."
LARGE = 4096  # weights: the linear layers of E2E-MF+-26M with as many have 97 % of those of all


def parameters(node, signature):
    """Return the names of the parameters that a node of an exported program depends on; none if on inputs as well."""
    names = signature.inputs_to_parameters | signature.inputs_to_buffers
    found, left, seen = [], [node], set()
    while left:
        source = left.pop()
        if source.name in signature.user_inputs:
            return []
        if source not in seen:
            seen.add(source)
            left += source.all_input_nodes
            found += [names[source.name]] if source.name in names else []
    return found


def layers_for_int8(exported):
    """Find what is worth INT8 in an exported program: convolutions, but depthwise ones, and large linear layers.

    Convolutions whose weights are computed, though from parameters, are coefficients of dynamic ReLUs, and what has no
    parameters are the means of norms, to which eight bits are too few.

    Args:
        exported: program of :func:`mfdet.export.executorch.traced`.

    Returns:
        A dict of layer to a list of nodes.
    """
    layers = {}
    for node in exported.graph.nodes:
        if node.target == LINEAR:
            wanted = node.args[1].meta['val'].numel() >= LARGE
        else:
            groups = node.args[6] if len(node.args) > 6 else 1
            wanted = node.target == CONVOLUTION and node.args[1].op == 'placeholder' and groups == 1
        names = parameters(node.args[1], exported.graph_signature) if wanted else []
        if names:
            layers.setdefault(layer_of(names[0].removeprefix(MODEL)), []).append(node)
    return layers


def unshare(module):
    """Give each convolution and linear layer weights of its own, in place.

    The quantiser leaves out operations whose weight or bias it has seen, such as the head's for all maps but one, and
    XNNPACK takes no bias for INT8 and for float32 at once. Equal weights are stored once in a file.
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


def dequantize_per_user(module):
    """Give each user of a tensor in INT8 a conversion to float32 of its own, in place.

    Where one of two users wants another layout, ExecuTorch 1.5 moves the conversion they share behind its change, for
    the other as well, so that a graph whose output it is stops as it runs.
    """
    dequantize = torch.ops.quantized_decomposed.dequantize_per_tensor.default
    for node in [node for node in module.graph.nodes if node.target == dequantize]:
        for user in list(node.users)[1:]:
            with module.graph.inserting_before(user):
                user.replace_input_with(node, module.graph.node_copy(node))
    module.recompile()


def quantize_executorch(graph, path, metadata, inputs, float_layers=()):
    """Write an ExecuTorch detector in INT8: convolutions with fixed ranges, linear layers with those of each input.

    Args:
        graph, path, metadata: see :func:`mfdet.export.executorch.export_executorch`.
        inputs: dicts of ``images`` (1, 3, H, W) and ``sizes`` (1, 2), arrays: prepared images to measure the ranges of
            activations on.
        float_layers: names of layers or parts of the model that stay as they are.

    Returns:
        The number of convolutions in INT8.

    Raises:
        InputError: executorch is missing, or there is no layer of a name.
    """
    check_executorch()
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    class Quantizer(XNNPACKQuantizer):
        def transform_for_annotation(self, model):
            return model  # as it is: XNNPACKQuantizer makes the whole numbers of sums float32, and so the labels

    with quiet(), torch.no_grad():
        example = inputs_of(metadata)
        exported = traced(graph, example)
        layers = layers_for_int8(exported)
        left = chosen(layers, float_layers)
        taken = {node.name: node.target for nodes in layers.values() for node in nodes if node not in left}
        module = folded(exported).module()
        unshare(module)
        quantizer = Quantizer().set_filter_function(
            lambda node: node.target not in (CONVOLUTION, LINEAR) or node.name in taken
        )
        for kind, dynamic in ((CONVOLUTION, False), (LINEAR, True)):
            config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
            quantizer.set_operator_type(kind, config)
        module = prepare_pt2e(module, quantizer)
        for entry in inputs:
            module(torch.from_numpy(entry['images']), torch.from_numpy(entry['sizes']).float())
        module = convert_pt2e(module)
        dequantize_per_user(module)
        write_program(own_constants(torch.export.export(module, example)), metadata, path)
    return list(taken.values()).count(CONVOLUTION)
