"""The convolutions of an exported graph by the layer of the model that they are of, to choose what INT8 leaves out."""

from mfdet.errors import InputError
from mfdet.values import listed


def layer_of(weights):
    """Return the name of the layer whose weights have a name in an exported graph."""
    return weights.removeprefix('model.').removesuffix('.weight')


def chosen(layers, names):
    """Return the operations of the layers of names, or of the parts of a model that hold them.

    Args:
        layers: dict of layer to a list of operations.
        names: of layers (``bbox_head.retina_cls``) or parts (``neck``).

    Returns:
        A set of operations.

    Raises:
        InputError: nothing has one of the names.
    """
    found = set()
    for name in names:
        operations = [layers[layer] for layer in layers if layer == name or layer.startswith(f'{name}.')]
        if not operations:
            raise InputError(
                f'--float-layers {name}: no layer in INT8 has this name or is in a part of it; those layers are '
                f'{listed(list(layers))}'
            )
        found.update(*operations)
    return found


def convolutions(model):
    """Return the plain convolutions of an ``openvino.Model`` in float32: layer to a list of names, in their order."""
    layers = {}
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == 'Convolution':
            weights = operation.input_value(1).get_node().get_friendly_name()
            layers.setdefault(layer_of(weights), []).append(operation.get_friendly_name())
    return layers
