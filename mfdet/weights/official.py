"""The layout of the authors' released checkpoints, and ours.

Each block of the released code is one of three kinds; a table lists, for each kind, the released name of every layer
beside ours. The same tables serve both directions.
"""

import re

from mfdet.errors import InputError

_MOBILE_TO_FORMER = {
    'local_global.q': 'mobile_to_former.query',
    'local_global.alpha.0': 'mobile_to_former.gate',
    'local_global.proj': 'mobile_to_former.proj',
    'local_global.layer_norm': 'mobile_to_former.norm',
}
_TOKEN_PARTS = {
    **_MOBILE_TO_FORMER,
    'global_block.q': 'former.query',
    'global_block.channel_mlp': 'former.proj',
    'global_block.layer_norm': 'former.norm',
    'global_block.ffn.0': 'former.ffn.0',
    'global_block.ffn.2': 'former.ffn.2',
    'global_block.ffn_norm': 'former.ffn_norm',
    'global_local.k': 'former_to_mobile.key',
    'global_local.proj': 'former_to_mobile.value',
}


def _convs(**pairs):
    """Table rows for convolution + BatchNorm pairs."""
    return {f'{old}.{i}': f'mobile.{new}.{part}' for old, new in pairs.items() for i, part in enumerate(('conv', 'bn'))}


def _dynamic_relus(**pairs):
    return {
        f'{old}.hyper.{i}': f'mobile.{new}.{part}'
        for old, new in pairs.items()
        for i, part in ((0, 'reduce'), (2, 'expand'))
    }


_BNECK_LITE = {
    'conv.0': 'depthwise.conv',
    'conv.1': 'depthwise.bn',
    'conv.4': 'pointwise.conv',
    'conv.5': 'pointwise.bn',
}
_DOWNSAMPLE = {
    **_convs(conv1='depthwise1', conv2='pointwise1', conv3='depthwise2', conv4='pointwise2'),
    **_dynamic_relus(hyper1='act1', hyper3='act2'),
    **_TOKEN_PARTS,
}
_STRIDE_1 = {
    **_convs(conv1='expand', conv2='depthwise', conv3='project'),
    **_dynamic_relus(hyper1='act1', hyper2='act2'),
    **_TOKEN_PARTS,
}
_OUTSIDE_BLOCKS = {
    'stem.0': 'backbone.stem.conv',
    'stem.1': 'backbone.stem.bn',
    **{old: f'head.{new}' for old, new in _MOBILE_TO_FORMER.items()},
    'classifier.conv.1': 'head.expand.conv',
    'classifier.conv.2': 'head.expand.bn',
    'classifier.fc.0': 'head.fc',
    'classifier.fc.1': 'head.bn',
    'classifier.classifier.1': 'head.classifier',
}


def is_official(state_dict):
    """Tell whether the names of ``state_dict`` are those of a released checkpoint."""
    return 'tokens.weight' in state_dict or any(name.startswith('features.') for name in state_dict)


def rename(state_dict, block_prefix, block_table, new_block_prefix, outside, layout='Mobile-Former'):
    """Rename by tables of layers.

    Args:
        state_dict: ``{name: value}``.
        block_prefix, new_block_prefix: what stands before the number of a block, before and after.
        block_table: function of that number, a string, to the table of the block's layers.
        outside: table of the other layers.
        layout: how the message calls it.

    Raises:
        InputError: an entry has no layer in the tables; it is named.
    """
    renamed, unknown = {}, []
    for name, value in state_dict.items():
        block = re.match(rf'{re.escape(block_prefix)}(\d+)\.(.+)$', name)
        table, rest, prefix = outside, name, ''
        if block:
            table, rest, prefix = block_table(block[1]), block[2], f'{new_block_prefix}{block[1]}.'
        layer, _, entry = rest.rpartition('.')
        if rest in table:
            renamed[prefix + table[rest]] = value
        elif layer in table:
            renamed[f'{prefix}{table[layer]}.{entry}'] = value
        else:
            unknown.append(name)
    if unknown:
        more = f' and {len(unknown) - 1} more' if len(unknown) > 1 else ''
        raise InputError(f'unknown entry {unknown[0]!r}{more}: not a name of the expected {layout} layout')
    return renamed


def convert_official(state_dict):
    """Map a released state dict onto the layout of :class:`mfdet.models.MobileFormerClassifier`.

    Args:
        state_dict: ``{name: value}`` as released, without a ``module.`` prefix. Values are passed through.

    Returns:
        ``{name: value}`` with ``backbone.`` and ``head.`` names, in the same order.

    Raises:
        InputError: an entry is not one of the released layout; it is named.
    """

    def table(i):
        if f'features.{i}.conv.0.weight' in state_dict:
            return _BNECK_LITE
        return _DOWNSAMPLE if f'features.{i}.conv4.0.weight' in state_dict else _STRIDE_1

    outside = {**_OUTSIDE_BLOCKS, 'tokens.weight': 'backbone.tokens'}
    return rename(state_dict, 'features.', table, 'backbone.blocks.', outside)


def convert_to_official(state_dict):
    """Map a state dict of :class:`mfdet.models.MobileFormerClassifier` onto the released layout.

    The inverse of :func:`convert_official`.

    Raises:
        InputError: an entry has no place in the released layout; it is named.
    """

    def table(i):
        if f'backbone.blocks.{i}.pointwise.conv.weight' in state_dict:
            kind = _BNECK_LITE
        elif f'backbone.blocks.{i}.mobile.pointwise2.conv.weight' in state_dict:
            kind = _DOWNSAMPLE
        else:
            kind = _STRIDE_1
        return {new: old for old, new in kind.items()}

    outside = {new: old for old, new in _OUTSIDE_BLOCKS.items()}
    outside['backbone.tokens'] = 'tokens.weight'
    return rename(state_dict, 'backbone.blocks.', table, 'features.', outside)
