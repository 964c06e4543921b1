"""The layout of Apple's released MobileViT checkpoints as ``transformers`` stores them, and ours."""

from mfdet.weights.official import rename


def _convs(**pairs):
    """Table rows for convolution + BatchNorm pairs."""
    parts = dict(convolution='conv', normalization='bn')
    return {f'{old}.{part}': f'{new}.{ours}' for old, new in pairs.items() for part, ours in parts.items()}


def _below(old, new, table):
    return {f'{old}.{key}': f'{new}.{value}' for key, value in table.items()}


_INVERTED_RESIDUAL = _convs(expand_1x1='expand_conv', conv_3x3='depthwise_conv', reduce_1x1='linear_conv')
_TRANSFORMER_LAYER = {
    **{f'attention.attention.{name}': f'attention.{name}' for name in ('query', 'key', 'value')},
    'attention.output.dense': 'attention.proj',
    'intermediate.dense': 'ffn.0',
    'output.dense': 'ffn.2',
    'layernorm_before': 'norm',
    'layernorm_after': 'ffn_norm',
}
_STAGE = _convs(conv_kxk='local', conv_projection='project', fusion='fuse')
_STAGE |= {'conv_1x1.convolution': 'widen', 'layernorm': 'norm'}
_STAGE |= _below('downsampling_layer', 'downsample', _INVERTED_RESIDUAL)
for _i in range(3):
    _STAGE |= _below(f'layer.{_i}', str(_i), _INVERTED_RESIDUAL)
for _i in range(4):
    _STAGE |= _below(f'transformer.layer.{_i}', f'transformer.{_i}', _TRANSFORMER_LAYER)
_OUTSIDE_STAGES = {**_convs(conv_stem='backbone.stem', conv_1x1_exp='head.expand'), 'classifier': 'head.classifier'}


def is_mobilevit(state_dict):
    """Tell whether the names of ``state_dict`` are those of a released MobileViT."""
    return any(name.removeprefix('mobilevit.').startswith('conv_stem.') for name in state_dict)


def convert_mobilevit(state_dict):
    """Map a released state dict onto the layout of :class:`mfdet.models.MobileViTClassifier`.

    Args:
        state_dict: ``{name: value}`` as released, with or without the prefix ``mobilevit.``. Values are passed through.

    Returns:
        ``{name: value}`` with ``backbone.`` and ``head.`` names, in the same order.

    Raises:
        InputError: an entry is not one of the released layout; it is named.
    """
    bare = {name.removeprefix('mobilevit.'): value for name, value in state_dict.items()}
    return rename(bare, 'encoder.layer.', lambda i: _STAGE, 'backbone.stages.', _OUTSIDE_STAGES, 'MobileViT')


def convert_to_mobilevit(state_dict):
    """Map a state dict of :class:`mfdet.models.MobileViTClassifier` onto the released layout.

    The inverse of :func:`convert_mobilevit`.

    Raises:
        InputError: an entry has no place in the released layout; it is named.
    """
    stage, outside = ({new: old for old, new in table.items()} for table in (_STAGE, _OUTSIDE_STAGES))
    names = rename(state_dict, 'backbone.stages.', lambda i: stage, 'encoder.layer.', outside, 'MobileViT')
    return {name if name.startswith('classifier.') else f'mobilevit.{name}': value for name, value in names.items()}
