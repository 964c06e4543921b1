"""Blocks of :mod:`mfdet.layers.mobile` whose hidden maps are computed in horizontal strips.

A strip stays in the cache of a core from layer to layer. Its layers compute the rows that are needed and no more: a
depthwise convolution reads one row on either side of its own, which the layers before it compute twice.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from mfdet.layers import BneckLite, DynamicReLU, Mobile, MobileDownsample, channel_shuffle
from mfdet.layers.mobile import halve, halve_logits, zero_padding

STRIP_SIZE = 500_000  # numbers of a hidden map (2 MB): what the caches of a core hold, roughly; tried from 200,000 on


def reach(rows, stride, height):
    """Return which rows of its input a 3×3 convolution with padding 1 reads.

    Args:
        rows: slice of the rows of its output.
        stride: of the convolution.
        height: rows of its input in all.

    Returns:
        The rows of the input as a slice, and how many rows of zeros are read above and below the map, as a pair.
    """
    start, stop = rows.start * stride - 1, (rows.stop - 1) * stride + 2
    return slice(max(start, 0), min(stop, height)), (max(-start, 0), max(stop - height, 0))


def crop(x, rows):
    """Return rows of a map (B, C, H, W); None stays None."""
    return x if x is None or rows == slice(0, x.shape[2]) else x[:, :, rows]


def within(rows, others):
    """Return where rows lie among others that hold them; both are slices."""
    return slice(rows.start - others.start, rows.stop - others.start)


class RowsDepthwise(nn.Module):
    """3×3 depthwise convolution of some rows of a map.

    Args:
        layer: ConvModule, its BatchNorm folded; its convolution is taken over.
        repeat: compute an expanding convolution, C to e·C channels, as a repetition of the map and a plain
            depthwise convolution, which is faster. The output channels then come in another order, :attr:`order`.
    """

    def __init__(self, layer, repeat=False):
        super().__init__()
        self.conv = layer.conv
        self.activate = layer.activate if layer.with_activation else nn.Identity()
        self.repeats = 1
        if repeat:
            channels, self.repeats = self.conv.out_channels, self.conv.out_channels // self.conv.in_channels
            self.order = torch.arange(channels).view(-1, self.repeats).T.flatten()
            self.conv.weight.data = self.conv.weight.data[self.order]
            self.conv.bias.data = self.conv.bias.data[self.order]
            self.conv.in_channels = self.conv.groups = channels

    def forward(self, x, beyond=(1, 1), scale=None, bias_scale=None):
        """Convolve.

        Args:
            x: rows of a map (B, C, H, W).
            beyond: rows of zeros to put above and below them, each 0 or 1; both for a whole map.
            scale, bias_scale: factors (e·C) of the weights and of the bias, or None.

        Returns:
            (B, e·C, H', W').
        """
        top, bottom = beyond
        if self.repeats > 1:
            x = torch.cat([x] * self.repeats, 1)
        if top < bottom or (top > bottom and self.conv.stride[0] == 1):  # at stride 2 a zero row below is not read
            x, top = F.pad(x, (0, 0, top, bottom)), 0
        weight, bias = self.conv.weight, self.conv.bias
        if scale is not None:
            weight, bias = weight * scale[:, None, None, None], bias * bias_scale
        return self.activate(F.conv2d(x, weight, bias, self.conv.stride, (top, 1), groups=self.conv.groups))


class InStrips(nn.Module):
    """A block in strips.

    Args:
        block: BneckLite, Mobile or MobileDownsample, its depthwise layers being :class:`RowsDepthwise`.
        strip_size: about how many numbers the widest map of a strip should have.
    """

    def __init__(self, block, strip_size=STRIP_SIZE):
        super().__init__()
        self.block = block
        self.strip_size = strip_size
        layers = [module for module in block.modules() if isinstance(module, RowsDepthwise)]
        self.stride = layers[0].conv.stride[0]
        self.hidden = max(layer.conv.out_channels for layer in layers)

    def mixing(self, logits, valid):
        """Return the mixing weights of spatial-aware dynamic ReLU, (B, M, H', W'), if there are logits."""
        return None if logits is None else logits.softmax(1)

    def forward(self, x, tokens=None, logits=None, valid=None, acts=None):
        """Compute as the block does; arguments as in :class:`mfdet.layers.Mobile`, ``acts`` as in :meth:`strip`."""
        height = -(-x.shape[2] // self.stride)
        size = len(x) * self.hidden * height * x.shape[3] / self.stride
        count = max(1, min(round(size / self.strip_size), height // 4))
        edges = [height * i // count for i in range(count + 1)]
        mixing = self.mixing(logits, valid)
        strips = [self.strip(slice(*rows), x, tokens, mixing, valid, acts) for rows in itertools.pairwise(edges)]
        return strips[0] if count == 1 else torch.cat(strips, 2)

    def strip(self, rows, x, tokens, mixing, valid, acts):
        """Compute rows of the result.

        Args:
            rows: slice.
            x, tokens, valid: see :meth:`forward`.
            mixing: see :meth:`mixing`.
            acts: None; for blocks of :mod:`mfdet.models.fuse`, see there.
        """
        raise NotImplementedError


class BneckLiteInStrips(InStrips):
    """:class:`mfdet.layers.BneckLite`."""

    def strip(self, rows, x, tokens, mixing, valid, acts):
        """See the base class."""
        block, (outer, beyond) = self.block, reach(rows, self.stride, x.shape[2])
        y = block.depthwise(zero_padding(crop(x, outer), crop(valid, outer)), beyond)
        y = block.pointwise(channel_shuffle(y, block.shuffle))
        return crop(x, rows) + y if block.residual else y


def masked(act, x, tokens, mixing, valid, **options):
    """Return the activation of x, zero where ``valid`` is False; arguments as in :class:`mfdet.layers.Mobile`."""
    if mixing is not None and isinstance(act, DynamicReLU) and not act.mix_hidden:
        return act(x, tokens, zero_padding(mixing, valid), **options)  # slopes mixed without weights are 0
    return zero_padding(act(x, tokens, mixing, **options), valid)


class MobileInStrips(InStrips):
    """:class:`mfdet.layers.Mobile`."""

    def strip(self, rows, x, tokens, mixing, valid, acts):
        """See the base class."""
        block, (outer, beyond) = self.block, reach(rows, 1, x.shape[2])
        y = channel_shuffle(block.expand(crop(x, outer)), block.groups)
        y = masked(block.act1, y, tokens, crop(mixing, outer), crop(valid, outer))
        y = block.act2(block.depthwise(y, beyond), tokens, crop(mixing, rows))
        y = channel_shuffle(block.project(y), block.groups)
        return crop(x, rows) + y if block.residual else y


class MobileDownsampleInStrips(InStrips):
    """:class:`mfdet.layers.MobileDownsample`."""

    def mixing(self, logits, valid):
        """See the base class."""
        return None if logits is None else halve_logits(logits, valid).softmax(1)

    def strip(self, rows, x, tokens, mixing, valid, acts):
        """See the base class."""
        block, height = self.block, x.shape[2]
        middle, beyond2 = reach(rows, 1, -(-height // 2))
        outer, beyond1 = reach(middle, 2, height)
        y = block.depthwise1(zero_padding(crop(x, outer), crop(valid, outer)), beyond1)
        y = block.pointwise1(block.act1(channel_shuffle(y, block.shuffle1), tokens, crop(mixing, middle)))
        z = block.depthwise2(zero_padding(y, crop(halve(valid), middle)), beyond2)
        z = block.act2(channel_shuffle(z, block.shuffle2), tokens, crop(mixing, rows))
        return crop(y, within(rows, middle)) + block.pointwise2(z)


IN_STRIPS = {
    BneckLite: BneckLiteInStrips,
    Mobile: MobileInStrips,
    MobileDownsample: MobileDownsampleInStrips,
}
