"""The same function in a form that suits OpenVINO, which keeps maps channels-last; applied at export.

Written as in :mod:`mfdet.layers`, attention between tokens and map makes it copy each map into the other layout and
back. Here only the attention maps are transposed, and those of many tokens not either. docs/performance.md has the
figures.
"""

import itertools
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from mfdet.layers import DynamicReLU, FormerToMobile, Mobile, MobileFormerBlock, MobileToFormer
from mfdet.layers.bridge import split_heads, with_position
from mfdet.layers.up_conv import UpConv
from mfdet.models.fuse import (
    SLOPE_BOUNDS,
    by_head,
    fold,
    head_mask,
    joined,
    map_of,
    replace_modules,
    rows_of,
    scaled,
    slope_layers,
)
from mfdet.models.mobile_former import MobileFormer
from mfdet.models.strips import IN_STRIPS, InStrips, MobileInStrips, masked

MANY = 32  # tokens from which on attention is written as usual: OpenVINO then runs it as one operation
FEW_ROWS = 16  # in a strip: with fewer, the rows that two strips need cost too much
PART = 64  # channels that OpenVINO's kernels compute at a time, roughly
STRIP_SIZE = 600_000  # larger than in PyTorch: each strip costs OpenVINO copies
BACKBONE_STRIP_SIZE = 400_000  # in backbones, whose copies are smaller; tried from 150,000 on


def hard_sigmoid(x):
    """As ``F.hardsigmoid``, which OpenVINO runs by itself and in the other layout; this joins what is around it."""
    return (x / 6 + 0.5).clamp(0, 1)


class ChannelsLastMobileToFormer(MobileToFormer):
    """:class:`mfdet.layers.MobileToFormer`."""

    def forward(self, x, tokens, position=None, valid=None):
        """See the base class."""
        query, rows = self.query(with_position(tokens, position)) * self.scale, rows_of(x)
        attend = self.attend_many if tokens.shape[1] >= MANY else self.attend_few
        update, logits = attend(query, rows, None if valid is None else ~valid.flatten(2)[:, None])
        update = update * (2 * hard_sigmoid(self.gate(tokens)))
        return self.norm(tokens + self.proj(update)), logits.mean(1).unflatten(-1, x.shape[-2:])

    def attend_many(self, query, rows, padding):
        """Return the update (B, M, C) and the logits (B, h, M, H·W), head by head."""
        rows = split_heads(rows, self.heads)  # (B, h, H·W, C/h)
        logits = split_heads(query, self.heads) @ rows.transpose(-1, -2)
        weights = logits if padding is None else logits.masked_fill(padding, -math.inf)
        return (weights.softmax(-1) @ rows).transpose(1, 2).flatten(2), logits

    def attend_few(self, query, rows, padding):
        """As :meth:`attend_many`, all heads in one product, which leaves the map as it lies."""
        mask = head_mask(query.shape[-1], self.heads)
        query = by_head(query, mask)  # (B, h·M, C)
        logits = (rows @ query.transpose(1, 2)).transpose(1, 2).unflatten(1, (self.heads, -1))
        weights = logits if padding is None else logits.masked_fill(padding, -math.inf)
        update = (weights.softmax(-1).flatten(1, 2) @ rows).unflatten(1, (self.heads, -1))
        return (update * mask).sum(1), logits


class ChannelsLastFormerToMobile(FormerToMobile):
    """:class:`mfdet.layers.FormerToMobile`."""

    def forward(self, x, tokens, position=None):
        """See the base class."""
        key, value = self.key(with_position(tokens, position)) * self.scale, self.value(tokens)
        attend = self.attend_many if tokens.shape[1] >= MANY else self.attend_few
        return x + map_of(attend(rows_of(x), key, value), x.shape[-2:])

    def attend_many(self, rows, key, value):
        """Return the update (B, H·W, C), head by head."""
        query, key, value = (split_heads(part, self.heads) for part in (rows, key, value))
        return ((query @ key.transpose(-1, -2)).softmax(-1) @ value).transpose(1, 2).flatten(2)

    def attend_few(self, rows, key, value):
        """As :meth:`attend_many`, all heads in one product, and the softmax where H·W is the last axis."""
        mask = head_mask(key.shape[-1], self.heads)
        key, value = (by_head(part, mask) for part in (key, value))  # (B, h·M, C)
        logits = (rows @ key.transpose(1, 2)).transpose(1, 2).unflatten(1, (self.heads, -1))  # (B, h, M, H·W)
        return logits.softmax(2).flatten(1, 2).transpose(1, 2) @ value


class ChannelsLastUpConv(UpConv):
    """:class:`mfdet.layers.up_conv.UpConv` as products: the 3×3 convolution's nine 1×1 parts come first.

    They commute with enlarging a map, and on the coarser map they need a quarter of the multiply-adds. Enlarging,
    shifting and summing up are then products with a matrix for each of the axes, which grow with the map: where they
    would cost more than that saves, the layer stays as it is.
    """

    def forward(self, x, lateral, valid=None):
        """See the base class."""
        height, width = x.shape[-2:]
        if 18 * height + 12 * width > 27 * x.shape[1]:  # multiply-adds of an output, fourfold
            return super().forward(x, lateral, valid)
        if valid is None:
            valid = torch.ones_like(lateral[:, :1], dtype=torch.bool)
        weight, bias = self.conv.conv.weight.permute(2, 3, 0, 1), self.conv.conv.bias  # (ky, kx, C_out, C_in)
        parts = [rows_of(F.conv2d(x, row.flatten(0, 1)[..., None, None])) for row in weight.unbind()]
        y = torch.cat([part.unflatten(1, (height, width)).flatten(2) for part in parts], 1)  # (B, 3 h, w 3 C_out)
        down, across = self.enlarge(valid[:, 0, :, 0]), self.enlarge(valid[:, 0, 0])
        y = torch.cat(down, 2) @ y  # (B, H, w 3 C_out)
        y = torch.stack(across, 3).flatten(2)[:, None] @ y.unflatten(2, (-1, len(bias)))  # (B, H, W, C_out)
        return y.permute(0, 3, 1, 2) + bias[:, None, None] + self.lateral(lateral)

    @staticmethod
    def enlarge(valid):
        """Return how the cells of the larger map are made of those of the smaller one along an axis.

        Args:
            valid: bool (B, n), False at the cells of the larger map that are padding.

        Returns:
            Three matrices (B, n, ceil(n / 2)), for the neighbour before each cell, the cell itself and the neighbour
            after it. Rows of cells that are padding or beyond the map are zero, the others sum up to 1.
        """
        coarse = valid[:, ::2]
        fine, cells = torch.arange(valid.shape[1]), torch.arange(coarse.shape[1])
        near = (1 - (fine[:, None] / 2 - 0.25 - cells).abs()).clamp(min=0) * coarse[:, None]  # bilinear, ×2
        total = near.sum(-1, keepdim=True)
        near = F.pad(near / total.masked_fill(total == 0, 1) * valid[..., None], (0, 0, 1, 1))
        return [near[:, k : k + valid.shape[1]] for k in range(3)]


class ChannelsLastDynamicReLU(DynamicReLU):
    """:class:`mfdet.layers.DynamicReLU`."""

    def forward(self, x, tokens, mixing=None, channels=slice(None)):
        """See the base class; x has only some ``channels``, a slice, of the layer's."""
        hidden = F.relu(self.reduce(tokens if mixing is not None else tokens[:, 0]))
        weights, biases = (part[:, channels] for part in slope_layers(self.expand))
        if mixing is not None and self.mix_hidden:
            hidden = (hidden.transpose(1, 2) @ mixing.flatten(2)).unflatten(-1, x.shape[-2:])  # (B, d/4, H, W)
            kernels = zip(weights, biases, SLOPE_BOUNDS, strict=True)
            a1, a2 = (F.conv2d(hidden, weight[..., None, None], bias).clamp(*ends) for weight, bias, ends in kernels)
            return torch.maximum(a1 * x, a2 * x)
        slopes = F.linear(hidden, weights.flatten(0, 1), biases.flatten()).chunk(2, -1)
        a1, a2 = (a.clamp(*ends) for a, ends in zip(slopes, SLOPE_BOUNDS, strict=True))
        if mixing is None:
            return torch.maximum(a1[..., None, None] * x, a2[..., None, None] * x)
        a1, a2 = (rows_of(mixing) @ a for a in (a1, a2))  # (B, H·W, C)
        rows = rows_of(x)
        return map_of(torch.maximum(a1 * rows, a2 * rows), x.shape[-2:])


class ChannelsLastMobile(MobileInStrips):
    """:class:`mfdet.layers.Mobile`; where strips would have few rows, in parts of the hidden channels instead."""

    def parts(self, x):
        """Return the hidden channels of each part for a map x (B, C, H, W), as slices; none if it suits strips."""
        block = self.block
        share = self.strip_size / (len(x) * self.hidden * x.shape[2] * x.shape[3])  # of the hidden map, in a strip
        width = PART * round(share * self.hidden / PART)
        separable = block.groups == 1 and isinstance(block.act1, DynamicReLU)
        if not separable or share * x.shape[2] >= FEW_ROWS or not 2 * PART <= width < self.hidden:
            return []
        edges = [*range(0, self.hidden - width // 2, width), self.hidden]
        return list(itertools.starmap(slice, itertools.pairwise(edges)))

    def forward(self, x, tokens=None, logits=None, valid=None):
        """See the base class."""
        parts = self.parts(x)
        if not parts:
            return super().forward(x, tokens, logits, valid)
        block, mixing = self.block, self.mixing(logits, valid)
        expand, depthwise, project = block.expand.conv, block.depthwise.conv, block.project.conv
        result = x + project.bias[:, None, None] if block.residual else project.bias[:, None, None]
        for part in parts:
            y = F.conv2d(x, expand.weight[part], expand.bias[part])
            y = masked(block.act1, y, tokens, mixing, valid, channels=part)
            y = F.conv2d(y, depthwise.weight[part], depthwise.bias[part], padding=1, groups=y.shape[1])
            result = result + F.conv2d(block.act2(y, tokens, mixing, part), project.weight[:, part])
        return result


class Half(nn.Module):
    """One half of a layer's output; OpenVINO computes the layer once for both."""

    def __init__(self, layer, index):
        super().__init__()
        self.layer = layer
        self.index = index

    def forward(self, x):
        """Map (..., d) to (..., d')."""
        return self.layer(x).chunk(2, -1)[self.index]


def join(first, second, name, other):
    """Make two linear layers of the same tokens the halves of one, in place.

    Args:
        first, second: the modules that have them.
        name, other: their names there.
    """
    layer = joined(scaled(getattr(first, name), 1), scaled(getattr(second, other), 1))
    setattr(first, name, Half(layer, 0))
    setattr(second, other, Half(layer, 1))


def join_layers(block):
    """Join the linear layers of a block that read the same tokens, in place.

    Args:
        block: MobileFormerBlock of a backbone. In a head, position parts come to some of the layers.
    """
    mobile, read, write = block.mobile, block.mobile_to_former, block.former_to_mobile
    join(read, read, 'query', 'gate')
    join(write, write, 'key', 'value')
    if isinstance(mobile.act1, DynamicReLU):
        join(mobile.act1, mobile.act2, 'reduce', 'reduce')


FORMS = {
    MobileToFormer: ChannelsLastMobileToFormer,
    FormerToMobile: ChannelsLastFormerToMobile,
    DynamicReLU: ChannelsLastDynamicReLU,
}


def channels_last(model, fixed_size=False):
    """Rewrite a trained model for export to OpenVINO, in place.

    Args:
        model: backbone, classifier or detector, in float32 on the CPU; it can no longer be trained.
        fixed_size: True if it is exported for one image size: then the hidden maps are also computed strip by strip
            or some channels at a time, and up-convolutions as products, which all depends on the size.

    Returns:
        The model.
    """
    fold(model)
    forms = FORMS | {UpConv: ChannelsLastUpConv} if fixed_size else FORMS
    for module in model.modules():
        if type(module) in forms:  # only the way to compute changes
            module.__class__ = forms[type(module)]
    backbones = [module for module in model.modules() if isinstance(module, MobileFormer)]
    for block in [module for backbone in backbones for module in backbone.blocks]:
        if isinstance(block, MobileFormerBlock):
            join_layers(block)
    if fixed_size:
        wrappers = IN_STRIPS | {Mobile: ChannelsLastMobile}
        replace_modules(model, {kind: partial(form, strip_size=STRIP_SIZE) for kind, form in wrappers.items()})
        for block in [module for backbone in backbones for module in backbone.modules()]:
            if isinstance(block, InStrips):
                block.strip_size = BACKBONE_STRIP_SIZE
    return model.requires_grad_(False)
