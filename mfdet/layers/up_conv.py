"""The up-convolution between the scales of the end-to-end head (E2E-MF, section 4)."""

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mfdet.layers.mobile import BN, halve, pointwise, zero_padding


class UpConv(nn.Module):
    """From one scale to the next: bilinear ×2, cut to the next map's size, 3×3 convolution, plus the projected map.

    Args:
        in_channels: channels of the coarser map.
        lateral_channels: channels of the backbone's map of the next scale.
        out_channels: channels of the result.
    """

    def __init__(self, in_channels, lateral_channels, out_channels):
        super().__init__()
        self.conv = ConvModule(in_channels, out_channels, 3, padding=1, norm_cfg=BN, act_cfg=None)
        self.lateral = pointwise(lateral_channels, out_channels)

    def forward(self, x, lateral, valid=None):
        """Enlarge and add.

        Args:
            x: coarser map (B, C_in, ceil(H/2), ceil(W/2)).
            lateral: the backbone's map (B, C, H, W).
            valid: bool (B, 1, H, W), False at padding, which does not reach into the image; None if there is none.

        Returns:
            (B, C_out, H, W).
        """
        height, width = lateral.shape[-2:]
        coarse = halve(valid)
        upsampled = self.upsample(zero_padding(x, coarse))[..., :height, :width]
        if valid is not None:  # at the border, weigh the inner neighbours alone
            weight = self.upsample(coarse.to(x.dtype))[..., :height, :width]
            upsampled = zero_padding(upsampled / weight.masked_fill(weight == 0, 1), valid)
        return self.conv(upsampled) + self.lateral(lateral)

    @staticmethod
    def upsample(x):
        """Enlarge (B, C, H, W) to (B, C, 2H, 2W)."""
        return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
