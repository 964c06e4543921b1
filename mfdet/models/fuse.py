"""The same function, faster: rewrites of trained models for inference in PyTorch.

The equations stay in :mod:`mfdet.layers`; nothing here has parameters of its own. docs/performance.md tells what each
rewrite brings.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from torch import nn

from mfdet.layers import BneckLite, DynamicReLU, Mobile, MobileDownsample, MobileFormerBlock
from mfdet.layers.mobile import halve, zero_padding

STRIP_SIZE = 300_000  # numbers of a hidden map that the cache of a core holds (1.2 MB), roughly


def in_strips(function, maps, count, stride=1, halo=1):
    """Apply a function of maps to horizontal strips, and join its results: they stay in the cache from layer to layer.

    Args:
        function: maps to a map (B, C, ceil(H/stride), W'), each row of which depends on ``halo`` rows more on either
            side of its own, counted in rows of the result.
        maps: tensors (B, C, H, W) or None; H even if ``stride`` is 2.
        count: number of strips.
        stride: of the function, 1 or 2.
        halo: see ``function``.

    Returns:
        The same as ``function(*maps)``.
    """
    if count < 2:
        return function(*maps)
    rows = -(-maps[0].shape[2] // stride)
    edges = [rows * i // count for i in range(count + 1)]
    strips = []
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        above, below = (halo if i > 0 else 0), (halo if i < count - 1 else 0)
        rows_in = slice((start - above) * stride, (stop + below) * stride)
        y = function(*(None if x is None else x[:, :, rows_in] for x in maps))
        strips.append(y[:, :, above : y.shape[2] - below])
    return torch.cat(strips, 2)


def leaky_relu(x, slope):
    """Leaky ReLU of x (B, C, H, W) with slopes (B, C)."""
    return F.prelu(x.reshape(1, -1, *x.shape[-2:]), slope.flatten()).view_as(x)


def product(conv, x, scale=None, residual=None):
    """1×1 convolution of x (B, C, H, W) as one matrix product.

    Args:
        conv: the convolution, with bias.
        x: the map.
        scale: of the input channels, (B, C), or None.
        residual: map (B, C_out, H, W) to add, or None.
    """
    weight, rows, bias = conv.weight.flatten(1)[None], x.flatten(2), conv.bias[:, None]
    if scale is not None:
        if rows.shape[-1] < weight.shape[1]:  # whichever is smaller
            rows = rows * scale[..., None]
        else:
            weight = weight * scale[:, None]
    add = bias if residual is None else residual.flatten(2) + bias
    y = torch.baddbmm(add, weight.expand(len(x), -1, -1), rows)
    return y.view(*y.shape[:2], *x.shape[2:])


def depthwise_of_scaled(layer, x, scale):
    """Depthwise convolution, with bias, of scale·x, divided by the scale: only the bias changes.

    Args:
        layer: ConvModule without activation, its BatchNorm folded.
        x: (B, C, H, W).
        scale: (B, C), positive.
    """
    conv, bias = layer.conv, layer.conv.bias / scale
    if len(x) == 1:
        return F.conv2d(x, conv.weight, bias[0], conv.stride, conv.padding, groups=conv.groups)
    return F.conv2d(x, conv.weight, None, conv.stride, conv.padding, groups=conv.groups) + bias[..., None, None]


class InStrips(nn.Module):
    """A block of :mod:`mfdet.layers.mobile` whose hidden maps are computed strip by strip.

    Args:
        block: the block.
        strip_size: about how many numbers the widest map of a strip should have.
    """

    def __init__(self, block, strip_size=STRIP_SIZE):
        super().__init__()
        self.block = block
        self.strip_size = strip_size
        downsampling = isinstance(block, MobileDownsample)
        layers = (block.depthwise1, block.depthwise2) if downsampling else (block.depthwise,)
        self.halo = len(layers)
        self.stride = layers[0].conv.stride[0]
        self.hidden = max(layer.conv.out_channels for layer in layers)

    def forward(self, x, tokens=None, logits=None, valid=None, acts=None):
        """Compute as the block does; arguments as in :class:`mfdet.layers.Mobile`, ``acts`` as in :meth:`strip`."""
        size = len(x) * self.hidden * x.shape[2] * x.shape[3] / self.stride**2
        count = min(round(size / self.strip_size), x.shape[2] // (4 * self.stride))
        if x.shape[2] % self.stride:
            count = 1
        maps = x, logits, valid
        return in_strips(lambda *strips: self.strip(tokens, acts, *strips), maps, count, self.stride, self.halo)

    def strip(self, tokens, acts, x, logits, valid):
        """Compute a strip of the map.

        Args:
            acts: scale and slope of each of the two dynamic ReLUs, see :meth:`FusedBlock.slopes`, or None.
            tokens, x, logits, valid: see :meth:`forward`.
        """
        if acts is not None:
            return self.fused(*acts, x, valid)
        if isinstance(self.block, BneckLite):
            return self.block(x, valid)
        return self.block(x, tokens, logits, valid)


class FusedMobile(InStrips):
    """:class:`mfdet.layers.Mobile`: dynamic ReLUs give their scale to the 1×1 convolutions beside them."""

    def fused(self, act1, act2, x, valid):
        """Compute a strip; the dynamic ReLUs are given as by :meth:`FusedBlock.slopes`."""
        block, (scale1, slope1), (scale2, slope2) = self.block, act1, act2
        y = leaky_relu(product(block.expand.conv, x), slope1)  # the first scale is left to the end
        y = leaky_relu(depthwise_of_scaled(block.depthwise, zero_padding(y, valid), scale1), slope2)
        return product(block.project.conv, y, scale1 * scale2, x if block.residual else None)


class FusedMobileDownsample(InStrips):
    """:class:`mfdet.layers.MobileDownsample`: as in :class:`FusedMobile`."""

    def fused(self, act1, act2, x, valid):
        """See :meth:`FusedMobile.fused`."""
        block, (scale1, slope1), (scale2, slope2) = self.block, act1, act2
        y = leaky_relu(block.depthwise1(zero_padding(x, valid)), slope1)
        y = product(block.pointwise1.conv, y, scale1)
        z = leaky_relu(block.depthwise2(zero_padding(y, halve(valid))), slope2)
        return product(block.pointwise2.conv, z, scale2, y)


def joined(*layers):
    """Join linear layers of one input, pairs of weight and bias, to one with their outputs one after the other."""
    weight, bias = (torch.cat(parts) for parts in zip(*layers, strict=True))
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight, bias
    return layer


def scaled(layer, scale, shift=0.0):
    """Return weight and bias of a linear layer whose output is multiplied and then shifted."""
    return layer.weight.data * scale, layer.bias.data * scale + shift


def heads_of(x, heads):
    """View x (B, M, C) as (B·heads, M, C / heads)."""
    batch, count, channels = x.shape
    return x.view(batch, count, heads, -1).transpose(1, 2).reshape(-1, count, channels // heads)


def join_heads(x, heads):
    """Undo :func:`heads_of`."""
    _, count, channels = x.shape
    return x.view(-1, heads, count, channels).transpose(1, 2).reshape(-1, count, heads * channels)


class FusedBlock(MobileFormerBlock):
    """:class:`mfdet.layers.MobileFormerBlock` with fewer operations on tokens, half of the time where maps are small.

    Linear layers of the same input are one, constant factors are in their weights, and the slopes of both dynamic ReLUs
    are computed together. It is for blocks with spatial-shared dynamic ReLUs and without position parts.

    Args:
        block: the block, its BatchNorms folded.
    """

    def __init__(self, block):
        nn.Module.__init__(self)  # not the block's own layers
        bridge, former, back = block.mobile_to_former, block.former, block.former_to_mobile
        act1, act2 = block.mobile.act1, block.mobile.act2
        self.heads, self.former_heads, self.channels = bridge.heads, former.heads, back.key.out_features
        # The gate 2·hsigmoid(z) is z/3 + 1 between 0 and 2.
        self.query_and_gate = joined(scaled(bridge.query, bridge.scale), scaled(bridge.gate, 1 / 3, 1))
        self.proj, self.norm = bridge.proj, bridge.norm
        self.former_query = joined(scaled(former.query, former.scale))
        self.former_proj, self.former_norm = former.proj, former.norm
        self.ffn, self.ffn_norm = former.ffn, former.ffn_norm if former.ffn is not None else None
        key, value, reduce1, reduce2 = back.key, back.value, act1.reduce, act2.reduce
        self.for_map = joined(scaled(key, back.scale), *(scaled(layer, 1) for layer in (value, reduce1, reduce2)))
        # a1 = 2·hsigmoid(z) is as the gate, a2 = 2·hsigmoid(z) - 1 is z/3 between -1 and 1.
        self.expands = nn.ModuleList(joined(scaled(act.expand, 1 / 3)) for act in (act1, act2))
        self.hidden = [layer.out_features // 2 for layer in self.expands]
        self.mobile = FUSED[type(block.mobile)](block.mobile)

    def update_tokens(self, x, tokens, valid):
        """Mobile→Former and Former."""
        heads = self.heads
        query, gate = self.query_and_gate(tokens).chunk(2, -1)
        values = x.reshape(len(x) * heads, x.shape[1] // heads, -1)  # (B·h, C/h, H·W)
        logits = torch.bmm(heads_of(query, heads), values)
        if valid is not None:
            logits = logits.unflatten(0, (-1, heads)).masked_fill(~valid.flatten(2)[:, None], -math.inf).flatten(0, 1)
        update = join_heads(torch.bmm(logits.softmax(-1), values.transpose(1, 2)), heads)
        tokens = self.norm(tokens + self.proj(update * gate.clamp(0, 2)))
        values = heads_of(tokens, self.former_heads)
        query = heads_of(self.former_query(tokens), self.former_heads)
        weights = torch.bmm(query, values.transpose(1, 2)).softmax(-1)
        tokens = self.former_norm(tokens + self.former_proj(join_heads(torch.bmm(weights, values), self.former_heads)))
        return tokens if self.ffn is None else self.ffn_norm(tokens + self.ffn(tokens))

    def slopes(self, hidden):
        """Split each dynamic ReLU into a scale p > 0 and a leaky ReLU.

        Args:
            hidden: first layers of both MLPs for the first token, one after the other, (B, d/2).

        Returns:
            For each p and n / p, both (B, C): max(a1·x, a2·x) is p·x where x > 0 and n·x elsewhere, with p the larger
            slope and n the smaller. p is at least 1e-12, which float32 can divide by.
        """
        pairs = zip(self.expands, hidden.relu().chunk(2, -1), self.hidden, strict=True)
        outputs = [layer(part).split(channels, -1) for layer, part, channels in pairs]
        a1, a2 = (torch.cat(parts, -1) for parts in zip(*outputs, strict=True))
        a1, a2 = (a1 + 1).clamp_(0, 2), a2.clamp_(-1, 1)
        scale = torch.maximum(a1, a2).clamp_(min=1e-12)
        slope = torch.minimum(a1, a2).div_(scale)
        return list(zip(scale.split(self.hidden, -1), slope.split(self.hidden, -1), strict=True))

    def forward(self, x, tokens, valid=None):
        """Update map and tokens; see :class:`mfdet.layers.MobileFormerBlock`."""
        tokens = self.update_tokens(x, tokens, valid)
        key, value, hidden = self.for_map(tokens).tensor_split((self.channels, 2 * self.channels), -1)
        x = self.mobile(x, tokens, None, valid, self.slopes(hidden[:, 0]))
        rows = x.view(len(x) * self.heads, x.shape[1] // self.heads, -1)  # (B·h, C/h, H·W)
        attention = torch.bmm(heads_of(key, self.heads), rows).softmax(1)  # over the tokens
        update = torch.baddbmm(rows, heads_of(value, self.heads).transpose(1, 2), attention)
        return update.view_as(x), tokens


def fused_block(block):
    """Return a block as a :class:`FusedBlock`, or as it is if that is not for it."""
    mobile = block.mobile
    suits = (
        type(mobile) in (Mobile, MobileDownsample)
        and isinstance(mobile.act1, DynamicReLU)
        and not block.spatial_aware
        and (mobile.groups if isinstance(mobile, Mobile) else mobile.shuffle1) == 1
        and block.former.token_mixer == 'attention'
    )
    return FusedBlock(block) if suits else block


class RepeatedDepthwise(nn.Module):
    """Expanding depthwise convolution as a repetition of the map and a plain depthwise convolution, which is faster.

    Its output channels come in another order: :func:`repeat_channels` permutes what follows.

    Args:
        layer: ConvModule, C to e·C channels at stride 1, its BatchNorm folded.
    """

    def __init__(self, layer):
        super().__init__()
        conv = layer.conv
        self.ratio = conv.out_channels // conv.in_channels
        order = self.order(conv.out_channels)
        self.conv = nn.Conv2d(conv.out_channels, conv.out_channels, 3, padding=1, groups=conv.out_channels)
        self.conv.weight.data.copy_(conv.weight.data[order])
        self.conv.bias.data.copy_(conv.bias.data[order])
        self.activate = layer.activate if layer.with_activation else nn.Identity()

    def order(self, channels):
        """Return, for each of this layer's output channels, that of the original."""
        return torch.arange(channels).view(-1, self.ratio).T.flatten()

    def forward(self, x):
        """Map x (B, C, H, W) to (B, e·C, H, W)."""
        return self.activate(self.conv(torch.cat([x] * self.ratio, 1)))


def repeat_channels(block):
    """Replace, in place, the expanding depthwise convolution of stride 1 that a block has.

    Args:
        block: BneckLite or MobileDownsample without groups, its BatchNorms folded.
    """
    if isinstance(block, BneckLite):
        name, act, pointwise = 'depthwise', None, block.pointwise.conv
    else:
        name, act, pointwise = 'depthwise2', block.act2, block.pointwise2.conv
    layer = getattr(block, name)
    if layer.conv.stride[0] > 1 or pointwise.groups > 1 or layer.conv.in_channels == layer.conv.out_channels:
        return
    repeated = RepeatedDepthwise(layer)
    order = repeated.order(layer.conv.out_channels)
    setattr(block, name, repeated)
    pointwise.weight.data = pointwise.weight.data[:, order].clone()
    if isinstance(act, DynamicReLU):
        both = torch.cat([order, order + len(order)])
        act.expand.weight.data = act.expand.weight.data[both].clone()
        act.expand.bias.data = act.expand.bias.data[both].clone()


FUSED = {
    BneckLite: InStrips,
    Mobile: FusedMobile,
    MobileDownsample: FusedMobileDownsample,
    MobileFormerBlock: fused_block,
}


def replace_modules(model, wrappers):
    """Wrap, in place, the modules inside ``model`` whose class is a key of ``wrappers``; return the model."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) in wrappers:
                setattr(module, name, wrappers[type(child)](child))
    return model


def fold(model):
    """Fold the BatchNorms of a model and repeat channels before its expanding depthwise convolutions, in place."""
    fuse_conv_bn(model.eval()).requires_grad_(False)
    for module in model.modules():
        if isinstance(module, (BneckLite, MobileDownsample)):
            repeat_channels(module)
    return model


def fuse(model):
    """Rewrite a trained model for inference in PyTorch, in place.

    BatchNorms fold into the convolutions before them, hidden maps are computed strip by strip, spatial-shared dynamic
    ReLUs become leaky ReLUs. The function stays the same up to rounding; the model can no longer be trained, and its
    state dict has other names: load weights before.

    Args:
        model: backbone, classifier or detector.

    Returns:
        The model, in evaluation mode and without gradients.
    """
    return replace_modules(fold(model), FUSED)
