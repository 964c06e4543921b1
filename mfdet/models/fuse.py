"""The same function, faster: rewrites of trained models for inference in PyTorch.

The equations stay in :mod:`mfdet.layers`; nothing here has parameters of its own. docs/performance.md tells what each
rewrite brings.
"""

import itertools

import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from torch import nn

from mfdet.layers import BneckLite, DynamicReLU, Mobile, MobileDownsample
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


def slopes(act, tokens):
    """Split the dynamic ReLU that the first of tokens (B, M, d) sets into a scale p > 0 and a leaky ReLU.

    Returns:
        p and n / p, both (B, C): max(a1·x, a2·x) is p·x where x > 0 and n·x elsewhere, with p the larger slope and n
        the smaller. p is at least 1e-12, which float32 can divide by.
    """
    h1, h2 = act.coefficients(tokens[:, 0]).chunk(2, 1)
    a1, a2 = 2 * h1, 2 * h2 - 1
    scale = torch.maximum(a1, a2).clamp(min=1e-12)
    return scale, torch.minimum(a1, a2) / scale


def leaky_relu(x, slope):
    """Leaky ReLU of x (B, C, H, W) with slopes (B, C)."""
    return F.prelu(x.reshape(1, -1, *x.shape[-2:]), slope.flatten()).view_as(x)


def product(conv, x, rows=None, columns=None, residual=None):
    """1×1 convolution of x (B, C, H, W) as one matrix product.

    Args:
        conv: the convolution, with bias.
        x: the map.
        rows: scale of the output channels, (B, C_out), or None.
        columns: scale of the input channels, (B, C), or None.
        residual: map (B, C_out, H, W) to add, or None.
    """
    weight, bias = conv.weight.flatten(1)[None], conv.bias[None, :, None]
    if rows is not None:
        weight, bias = weight * rows[..., None], bias * rows[..., None]
    if columns is not None:
        weight = weight * columns[:, None]
    add = bias if residual is None else residual.flatten(2) + bias
    return torch.baddbmm(add, weight.expand(len(x), -1, -1), x.flatten(2)).unflatten(-1, x.shape[-2:])


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

    def forward(self, x, tokens=None, logits=None, valid=None):
        """Compute as the block does; arguments as in :class:`mfdet.layers.Mobile`."""
        size = len(x) * self.hidden * x.shape[2] * x.shape[3] / self.stride**2
        count = min(round(size / self.strip_size), x.shape[2] // (4 * self.stride))
        if x.shape[2] % self.stride:
            count = 1
        maps = x, logits, valid
        return in_strips(lambda *strips: self.strip(tokens, *strips), maps, count, self.stride, self.halo)

    def strip(self, tokens, x, logits, valid):
        """Compute a strip of the map."""
        if isinstance(self.block, BneckLite):
            return self.block(x, valid)
        return self.block(x, tokens, logits, valid)


class FusedMobile(InStrips):
    """:class:`mfdet.layers.Mobile`: dynamic ReLUs give their scale to the 1×1 convolutions beside them."""

    def strip(self, tokens, x, logits, valid):
        """See the base class."""
        block = self.block
        if logits is not None or not isinstance(block.act1, DynamicReLU) or block.groups > 1:
            return super().strip(tokens, x, logits, valid)
        (scale1, slope1), (scale2, slope2) = (slopes(act, tokens) for act in (block.act1, block.act2))
        y = leaky_relu(product(block.expand.conv, x, rows=scale1), slope1)
        y = leaky_relu(block.depthwise(zero_padding(y, valid)), slope2)
        return product(block.project.conv, y, columns=scale2, residual=x if block.residual else None)


class FusedMobileDownsample(InStrips):
    """:class:`mfdet.layers.MobileDownsample`: as in :class:`FusedMobile`."""

    def strip(self, tokens, x, logits, valid):
        """See the base class."""
        block = self.block
        if logits is not None or not isinstance(block.act1, DynamicReLU) or block.shuffle1 > 1:
            return super().strip(tokens, x, logits, valid)
        (scale1, slope1), (scale2, slope2) = (slopes(act, tokens) for act in (block.act1, block.act2))
        y = leaky_relu(block.depthwise1(zero_padding(x, valid)), slope1)
        y = product(block.pointwise1.conv, y, columns=scale1)
        z = leaky_relu(block.depthwise2(zero_padding(y, halve(valid))), slope2)
        return product(block.pointwise2.conv, z, columns=scale2, residual=y)


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


FUSED = {BneckLite: InStrips, Mobile: FusedMobile, MobileDownsample: FusedMobileDownsample}


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
