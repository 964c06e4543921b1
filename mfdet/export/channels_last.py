"""The same function in a form that suits OpenVINO, which keeps maps channels-last; applied at export.

Written as in :mod:`mfdet.layers`, attention between tokens and map makes it copy each map into the other layout and
back. Here only the attention maps are transposed, which have a few rows. docs/performance.md has the figures.
"""

import math

import torch
import torch.nn.functional as F

from mfdet.layers import BneckLite, DynamicReLU, FormerToMobile, Mobile, MobileDownsample, MobileToFormer
from mfdet.layers.bridge import with_position
from mfdet.models.fuse import InStrips, fold, replace_modules

STRIPPED = (BneckLite, Mobile, MobileDownsample)
STRIP_SIZE = 600_000  # larger than in PyTorch: each strip costs OpenVINO copies


def hard_sigmoid(x):
    """As ``F.hardsigmoid``, which OpenVINO runs by itself and in the other layout; this joins what is around it."""
    return (x / 6 + 0.5).clamp(0, 1)


def rows_of(x):
    """View a map (B, C, H, W) as rows (B, H·W, C), which is how it lies in memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def map_of(rows, size):
    """View rows (B, H·W, C) as a map (B, C, H, W); ``size`` is (H, W)."""
    return rows.unflatten(1, size).permute(0, 3, 1, 2)


def head_mask(channels, heads):
    """Return (heads, 1, C), 1 where a channel belongs to a head: per-head products become one over all channels."""
    return torch.block_diag(*[torch.ones(1, channels // heads)] * heads)[:, None]


class ChannelsLastMobileToFormer(MobileToFormer):
    """:class:`mfdet.layers.MobileToFormer`."""

    def forward(self, x, tokens, position=None, valid=None):
        """See the base class."""
        rows, mask = rows_of(x), head_mask(x.shape[1], self.heads)
        query = self.query(with_position(tokens, position)) * self.scale
        query = (query[:, None] * mask).flatten(1, 2)  # (B, h·M, C)
        logits = (rows @ query.transpose(1, 2)).transpose(1, 2)  # (B, h·M, H·W)
        masked = logits if valid is None else logits.masked_fill(~valid.flatten(2), -math.inf)
        update = (masked.softmax(-1) @ rows).unflatten(1, (self.heads, -1))
        update = (update * mask).sum(1) * (2 * hard_sigmoid(self.gate(tokens)))
        tokens = self.norm(tokens + self.proj(update))
        return tokens, logits.unflatten(1, (self.heads, -1)).mean(1).unflatten(-1, x.shape[-2:])


class ChannelsLastFormerToMobile(FormerToMobile):
    """:class:`mfdet.layers.FormerToMobile`."""

    def forward(self, x, tokens, position=None):
        """See the base class."""
        mask = head_mask(x.shape[1], self.heads)
        key = (self.key(with_position(tokens, position))[:, None] * self.scale * mask).flatten(1, 2)  # (B, h·M, C)
        value = (self.value(tokens)[:, None] * mask).flatten(1, 2)
        logits = (rows_of(x) @ key.transpose(1, 2)).transpose(1, 2)  # (B, h·M, H·W): the softmax wants H·W last
        attention = logits.unflatten(1, (self.heads, -1)).softmax(2).flatten(1, 2)
        return x + map_of(attention.transpose(1, 2) @ value, x.shape[-2:])


class ChannelsLastDynamicReLU(DynamicReLU):
    """:class:`mfdet.layers.DynamicReLU`."""

    def forward(self, x, tokens, mixing=None):
        """See the base class."""
        if mixing is None:
            h1, h2 = (h[..., None, None] for h in self.coefficients(tokens[:, 0]).chunk(2, -1))
        else:
            if self.mix_hidden:
                hidden = F.relu(self.reduce(tokens)).transpose(1, 2) @ mixing.flatten(2)  # (B, d/4, H·W)
                hidden = hidden.unflatten(-1, x.shape[-2:])
                kernels = zip(self.expand.weight[..., None, None].chunk(2), self.expand.bias.chunk(2), strict=True)
                h1, h2 = (hard_sigmoid(F.conv2d(hidden, *kernel)) for kernel in kernels)
            else:
                weights, rows = rows_of(mixing), rows_of(x)
                h1, h2 = (weights @ h for h in self.coefficients(tokens).chunk(2, -1))  # (B, H·W, C)
                return map_of(torch.maximum(2 * h1 * rows, (2 * h2 - 1) * rows), x.shape[-2:])
        return torch.maximum(2 * h1 * x, (2 * h2 - 1) * x)


FORMS = {
    MobileToFormer: ChannelsLastMobileToFormer,
    FormerToMobile: ChannelsLastFormerToMobile,
    DynamicReLU: ChannelsLastDynamicReLU,
}


def channels_last(model, fixed_size=False):
    """Rewrite a trained model for export to OpenVINO, in place.

    Args:
        model: backbone, classifier or detector; it can no longer be trained.
        fixed_size: True if it is exported for one image size: then the blocks of the backbone also compute their maps
            strip by strip, which the exporter cannot write in reasonable time for any size.

    Returns:
        The model.
    """
    fold(model)
    for module in model.modules():
        if type(module) in FORMS:  # the layers and their names stay as they are, only the way to compute changes
            module.__class__ = FORMS[type(module)]
    if fixed_size:
        replace_modules(model, dict.fromkeys(STRIPPED, lambda block: InStrips(block, STRIP_SIZE)))
    return model
