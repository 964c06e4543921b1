"""The same function, faster: rewrites of trained models for inference in PyTorch on the CPU.

The equations stay in :mod:`mfdet.layers`; nothing here has parameters of its own. docs/performance.md tells what each
rewrite brings.
"""

import math

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mfdet.layers import BneckLite, DynamicReLU, Mobile, MobileDownsample, MobileFormerBlock
from mfdet.layers.mobile import halve, zero_padding
from mfdet.models.mobile_former import MobileFormer
from mfdet.models.strips import (
    BneckLiteInStrips,
    InStrips,
    MobileDownsampleInStrips,
    MobileInStrips,
    RowsDepthwise,
    crop,
    reach,
    within,
)


def as_channels_last(x):
    """Copy a map into the layout in which depthwise convolutions are fast."""
    return x.contiguous(memory_format=torch.channels_last)


def rows_of(x):
    """View a map (B, C, H, W) as rows (B, H·W, C), which is how it lies in memory channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def map_of(rows, size):
    """View rows (B, H·W, C) as a map (B, C, H, W); ``size`` is (H, W)."""
    return rows.unflatten(1, size).permute(0, 3, 1, 2)


def one_by_one(conv, x, residual=None):
    """1×1 convolution of a channels-last map as a matrix product.

    Args:
        conv: the convolution, with bias.
        x: map (1, C, H, W).
        residual: map (1, C', H, W) to add, or None.
    """
    rows, weight = rows_of(x)[0], conv.weight.flatten(1).T
    if residual is None:
        y = torch.addmm(conv.bias, rows, weight)
    else:
        y = torch.addmm(rows_of(residual)[0] + conv.bias, rows, weight)
    return map_of(y[None], x.shape[2:])


class ImageByImage(InStrips):
    """A block in strips of one image after the other."""

    def __init__(self, block):
        super().__init__(block)
        for conv in [module for module in block.modules() if isinstance(module, nn.Conv2d)]:
            if conv.groups == 1 and conv.out_channels > conv.in_channels:
                conv.weight.data = transposed(conv.weight.data)

    def forward(self, x, tokens=None, logits=None, valid=None, acts=None):
        """See the base class; ``acts``: scale and slope (B, C) of each dynamic ReLU, see :meth:`FusedBlock.slopes`."""

        def at(part):
            return None if part is None else part[i : i + 1]

        maps = []
        for i in range(len(x)):
            image_acts = None if acts is None else [(scale[i], slope[i]) for scale, slope in acts]
            maps.append(super().forward(at(x), at(tokens), at(logits), at(valid), image_acts))
        return maps[0] if len(maps) == 1 else torch.cat(maps)


class FusedBneckLite(ImageByImage, BneckLiteInStrips):
    """:class:`mfdet.layers.BneckLite`."""

    def strip(self, rows, x, tokens, mixing, valid, acts):
        """See the base class."""
        block = self.block
        if block.shuffle > 1:
            return super().strip(rows, x, tokens, mixing, valid, acts)
        outer, beyond = reach(rows, self.stride, x.shape[2])
        y = block.depthwise(zero_padding(as_channels_last(crop(x, outer)), crop(valid, outer)), beyond)
        return one_by_one(block.pointwise.conv, y, residual=crop(x, rows) if block.residual else None)


class FusedMobile(ImageByImage, MobileInStrips):
    """:class:`mfdet.layers.Mobile`: dynamic ReLUs give their scale to the depthwise convolution between them."""

    def strip(self, rows, x, tokens, mixing, valid, acts):
        """Compute rows of the result for one image.

        Args:
            rows, x, tokens, mixing, valid: see the base class.
            acts: scale and slope (C) of each dynamic ReLU, see :meth:`FusedBlock.slopes`; None to compute them here.
        """
        if acts is None:
            return super().strip(rows, x, tokens, mixing, valid, acts)
        block, (outer, beyond) = self.block, reach(rows, 1, x.shape[2])
        (scale1, slope1), (scale2, slope2) = acts
        y = F.prelu(one_by_one(block.expand.conv, crop(x, outer)), slope1)
        y = block.depthwise(zero_padding(y, crop(valid, outer)), beyond, scale1 * scale2, scale2)
        residual = crop(x, rows) if block.residual else None
        return one_by_one(block.project.conv, F.prelu(y, slope2), residual)


class FusedMobileDownsample(ImageByImage, MobileDownsampleInStrips):
    """:class:`mfdet.layers.MobileDownsample`: each dynamic ReLU gives its scale to the depthwise one before it."""

    def strip(self, rows, x, tokens, mixing, valid, acts):
        """See :meth:`FusedMobile.strip`."""
        if acts is None:
            return super().strip(rows, x, tokens, mixing, valid, acts)
        block, height = self.block, x.shape[2]
        (scale1, slope1), (scale2, slope2) = acts
        middle, beyond2 = reach(rows, 1, -(-height // 2))
        outer, beyond1 = reach(middle, 2, height)
        y = zero_padding(crop(x, outer), crop(valid, outer))
        y = one_by_one(block.pointwise1.conv, F.prelu(block.depthwise1(y, beyond1, scale1, scale1), slope1))
        z = zero_padding(y, crop(halve(valid), middle))
        z = F.prelu(block.depthwise2(z, beyond2, scale2, scale2), slope2)
        return one_by_one(block.pointwise2.conv, z, crop(y, within(rows, middle)))


def transposed(weight):
    """Lay a weight (C', C, ...) out in memory as (C, C', ...), in which products of few rows read it faster."""
    return weight.transpose(0, 1).contiguous().transpose(0, 1)


def joined(*layers):
    """Join linear layers of one input, pairs of weight and bias, to one with their outputs one after the other."""
    weight, bias = (torch.cat(parts) for parts in zip(*layers, strict=True))
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight, bias
    return layer


def scaled(layer, scale, shift=0.0):
    """Return weight and bias of a linear layer whose output is multiplied and then shifted."""
    return layer.weight.data * scale, layer.bias.data * scale + shift


def head_mask(channels, heads):
    """Return (heads, 1, C), 1 where a channel belongs to a head: per-head products become one over all channels."""
    return torch.block_diag(*[torch.ones(1, channels // heads)] * heads)[:, None]


def by_head(x, mask):
    """Return x (B, M, C) once for each head, (B, heads·M, C), zero in the channels of the others."""
    return (x[:, None] * mask).flatten(1, 2)


SLOPE_BOUNDS = (0, 2), (-1, 1)  # of a1 and a2


def slope_layers(expand):
    """Return weights (2, C, d/4) and biases (2, C) for the slopes a1 and a2 before they are clamped to their bounds.

    2·hsigmoid(z) is z/3 + 1 between 0 and 2, and 2·hsigmoid(z) - 1 is z/3 between -1 and 1.
    """
    weights, biases = (part.unflatten(0, (2, -1)) / 3 for part in (expand.weight, expand.bias))
    return weights, torch.stack([biases[0] + 1, biases[1]])


class FusedBlock(MobileFormerBlock):
    """:class:`mfdet.layers.MobileFormerBlock` with fewer operations on tokens, half of the time where maps are small.

    Linear layers of the same input are one, constant factors are in their weights, and the slopes of both dynamic ReLUs
    are computed together. It is for blocks with spatial-shared dynamic ReLUs and without position parts.

    Args:
        block: the block of a backbone, its Mobile half already in strips.
    """

    def __init__(self, block):
        nn.Module.__init__(self)  # not the block's own layers
        bridge, back = block.mobile_to_former, block.former_to_mobile
        act1, act2 = block.mobile.block.act1, block.mobile.block.act2
        self.heads, self.channels = bridge.heads, back.key.out_features
        # The gate 2·hsigmoid(z) is z/3 + 1 between 0 and 2.
        self.query_and_gate = joined(scaled(bridge.query, bridge.scale), scaled(bridge.gate, 1 / 3, 1))
        self.proj, self.norm = bridge.proj, bridge.norm
        self.former = block.former
        key, value, reduce1, reduce2 = back.key, back.value, act1.reduce, act2.reduce
        self.for_map = joined(scaled(key, back.scale), *(scaled(layer, 1) for layer in (value, reduce1, reduce2)))
        # One product gives the slopes of both dynamic ReLUs, each with as many channels C as the wider one.
        self.hidden = [act.expand.out_features // 2 for act in (act1, act2)]
        more = [(0, max(self.hidden) - channels) for channels in self.hidden]
        weights, biases = zip(*(slope_layers(act.expand) for act in (act1, act2)), strict=True)
        weights = [F.pad(weight.permute(2, 0, 1), pad) for weight, pad in zip(weights, more, strict=True)]
        self.expand_weight = nn.Parameter(torch.stack(weights).flatten(2))  # (2, d/4, 2 C)
        biases = [F.pad(bias, pad) for bias, pad in zip(biases, more, strict=True)]
        self.expand_bias = nn.Parameter(torch.stack(biases).flatten(1)[:, None])  # (2, 1, 2 C)
        for name, bounds in zip(('least', 'most'), zip(*SLOPE_BOUNDS, strict=True), strict=True):
            self.register_buffer(name, self.expand_bias.new_tensor(bounds)[:, None], persistent=False)
        self.mobile = block.mobile
        for name, layer in (('reading', bridge.query), ('writing', key)):  # which channels belong to each head
            mask = head_mask(layer.out_features, self.heads).to(layer.weight)
            self.register_buffer(name, mask, persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.data = transposed(layer.weight.data)

    def update_tokens(self, rows, tokens, valid):
        """Mobile→Former, from a map as rows (B, H·W, C), and Former."""
        query, gate = self.query_and_gate(tokens).chunk(2, -1)
        logits = torch.bmm(by_head(query, self.reading), rows.transpose(1, 2))  # (B, h·M, H·W)
        if valid is not None:
            logits = logits.masked_fill(~valid.flatten(2), -math.inf)
        update = torch.bmm(logits.softmax(-1), rows).unflatten(1, (self.heads, -1))
        update = (update * self.reading).sum(1) * gate.clamp(0, 2)
        return self.former(self.norm(tokens + self.proj(update)))

    def slopes(self, hidden):
        """Split each dynamic ReLU into a scale p > 0 and a leaky ReLU.

        Args:
            hidden: first layers of both MLPs for the first token, one after the other, (B, d/2).

        Returns:
            For each p and n / p, both (B, C): max(a1·x, a2·x) is p·x where x > 0 and n·x elsewhere, with p the larger
            slope and n the smaller. p is at least 1e-12, which float32 can divide by.
        """
        hidden = hidden.relu().unflatten(-1, (2, -1)).transpose(0, 1)  # (2, B, d/4)
        slopes = torch.baddbmm(self.expand_bias, hidden, self.expand_weight).unflatten(-1, (2, -1))
        a1, a2 = slopes.clamp_(self.least, self.most).unbind(2)  # (2, B, C)
        scales = torch.maximum(a1, a2).clamp_(min=1e-12)
        slopes = torch.minimum(a1, a2).div_(scales)
        triples = zip(scales, slopes, self.hidden, strict=True)
        return [(scale[:, :channels], slope[:, :channels]) for scale, slope, channels in triples]

    def forward(self, x, tokens, valid=None):
        """Update map and tokens; see :class:`mfdet.layers.MobileFormerBlock`."""
        x = as_channels_last(x)
        tokens = self.update_tokens(rows_of(x), tokens, valid)
        key, value, hidden = self.for_map(tokens).tensor_split((self.channels, 2 * self.channels), -1)
        x = self.mobile(x, tokens, None, valid, self.slopes(hidden[:, 0]))
        rows = rows_of(x)
        logits = torch.bmm(by_head(key, self.writing), rows.transpose(1, 2)).unflatten(1, (self.heads, -1))
        weights = logits.softmax(2).flatten(1, 2)  # over the tokens, (B, h·M, H·W)
        rows = torch.baddbmm(rows, weights.transpose(1, 2), by_head(value, self.writing))
        return map_of(rows, x.shape[2:]), tokens


def fused_block(block):
    """Return a block as a :class:`FusedBlock`, or as it is if that is not for it."""
    mobile = getattr(block.mobile, 'block', None)  # None without a Mobile half
    suits = (
        isinstance(mobile, (Mobile, MobileDownsample))
        and isinstance(mobile.act1, DynamicReLU)
        and not block.spatial_aware
        and (mobile.groups if isinstance(mobile, Mobile) else mobile.shuffle1) == 1
    )
    return FusedBlock(block) if suits else block


def with_rows(block):
    """Make, in place, the depthwise layers of a block :class:`RowsDepthwise`.

    Expanding ones become a repetition, but for narrow ones of stride 2.

    Args:
        block: BneckLite, Mobile or MobileDownsample, its BatchNorms folded.
    """
    if isinstance(block, BneckLite):
        layers = [('depthwise', None, block.pointwise)]
    elif isinstance(block, Mobile):
        layers = [('depthwise', block.act2, block.project)]
    else:
        layers = [('depthwise1', block.act1, block.pointwise1), ('depthwise2', block.act2, block.pointwise2)]
    for name, act, pointwise in layers:
        conv = getattr(block, name).conv
        wide = conv.in_channels >= 64  # with fewer, the map that stride 2 starts from is large
        expanding = conv.out_channels > conv.in_channels and pointwise.conv.groups == 1
        expanding = expanding and (wide or conv.stride[0] == 1)
        layer = RowsDepthwise(getattr(block, name), repeat=expanding)
        setattr(block, name, layer)
        if expanding:  # what follows takes the channels in its order
            pointwise.conv.weight.data = pointwise.conv.weight.data[:, layer.order].clone()
            if isinstance(act, DynamicReLU):
                both = torch.cat([layer.order, layer.order + len(layer.order)])
                act.expand.weight.data = act.expand.weight.data[both].clone()
                act.expand.bias.data = act.expand.bias.data[both].clone()


FUSED = {
    BneckLite: FusedBneckLite,
    Mobile: FusedMobile,
    MobileDownsample: FusedMobileDownsample,
}


def replace_modules(model, wrappers):
    """Wrap, in place, the modules inside ``model`` whose class is a key of ``wrappers``; return the model."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) in wrappers:
                setattr(module, name, wrappers[type(child)](child))
    return model


def is_plain(layer):
    """Whether a ConvModule is a convolution and then a BatchNorm, and no more: those of other models may be."""
    if type(layer.conv) is not nn.Conv2d or layer.order[:2] != ('conv', 'norm') or layer.with_spectral_norm:
        return False
    return isinstance(layer.norm, _BatchNorm) and layer.norm.affine and layer.norm.track_running_stats


def fold(model):
    """Fold the BatchNorms of a model and rewrite its depthwise layers, in place; see :func:`with_rows`."""
    for layer in [module for module in model.eval().modules() if isinstance(module, ConvModule)]:
        if is_plain(layer):
            fuse_conv_bn(layer)
    for module in model.modules():
        if isinstance(module, (BneckLite, Mobile, MobileDownsample)):
            with_rows(module)
    return model


def fuse(model):
    """Rewrite a trained model for inference in PyTorch on the CPU, in place.

    BatchNorms fold into the convolutions before them, hidden maps are computed strip by strip, spatial-shared dynamic
    ReLUs become leaky ReLUs. The function stays the same up to rounding; the model can no longer be trained, and its
    state dict has other names: load weights before.

    Args:
        model: backbone, classifier or detector, in float32, float64 or bfloat16; float16 cannot hold the scales.

    Returns:
        The model, in evaluation mode and without gradients.
    """
    replace_modules(fold(model), FUSED)
    for backbone in [module for module in model.modules() if isinstance(module, MobileFormer)]:
        stem = backbone.stem.conv  # its map, too, is to come channels-last
        stem.weight.data = as_channels_last(stem.weight.data)
        replace_modules(backbone, {MobileFormerBlock: fused_block})
    return model.eval().requires_grad_(False)
