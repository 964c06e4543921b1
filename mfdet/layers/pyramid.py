"""The small pyramid of maps that E2E-MF+ takes its queries from, and the layers before their scores and boxes."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mfdet.layers.mobile import BN, pointwise, zero_padding


class MaskedGroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics do not count padding."""

    def forward(self, x, valid=None):
        """Normalise x (B, C, H, W); ``valid`` is bool (B, 1, H, W), False at padding, None if it is all image."""
        if valid is None:
            return super().forward(x)
        inside = valid.to(torch.float32)
        share = inside.mean((2, 3))  # (B, 1)

        def mean(y):  # by channel first, as the runtimes for phones have no axes for groups
            y = ((y * inside).mean((2, 3)) / share).unflatten(1, (self.num_groups, -1)).mean(-1, keepdim=True)
            return y.expand(-1, -1, x.shape[1] // self.num_groups).flatten(1)[..., None, None]

        centred = x.float() - mean(x.float())
        normalised = centred * (mean(centred.square()) + self.eps).rsqrt()
        return (normalised * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class Tower(nn.Module):
    """3×3 convolutions, GroupNorm and ReLU, the same for all scales, as before the outputs of RetinaNet or ATSS.

    BatchNorm in their place cost ATSS a tenth of its AP here (docs/results.md): batches are small.

    Args:
        channels: channels C, divisible by 8.
        depth: number of convolutions.
    """

    def __init__(self, channels, depth):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(depth))
        self.norms = nn.ModuleList(MaskedGroupNorm(8, channels) for _ in range(depth))

    def forward(self, x, valid=None):
        """Turn a map (B, C, H, W) into one of the same shape; ``valid`` is bool (B, 1, H, W), False at padding."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(zero_padding(x, valid)), valid))
        return zero_padding(x, valid)


class Pyramid(nn.Module):
    """Feature pyramid (Lin et al., CVPR 2017) that masks padding, from the coarsest map down.

    Args:
        in_channels: channels of the backbone's maps, coarse to fine.
        channels: channels C of the pyramid.
    """

    def __init__(self, in_channels, channels):
        super().__init__()
        self.laterals = nn.ModuleList(pointwise(width, channels) for width in in_channels)
        self.outputs = nn.ModuleList(
            ConvModule(channels, channels, 3, padding=1, norm_cfg=BN, act_cfg=None) for _ in in_channels
        )

    def forward(self, scales):
        """Return maps (B, C, H, W) from coarse to fine, of :func:`mfdet.layers.scales.scales_of`."""
        maps, x = [], None
        for (feat, mask, _), lateral, output in zip(scales, self.laterals, self.outputs, strict=True):
            below, above = lateral(feat), x
            x = below
            if above is not None:
                x = below + F.interpolate(above, scale_factor=2.0)[..., : below.shape[2], : below.shape[3]]
            maps.append(output(zero_padding(x, mask)))
        return maps
