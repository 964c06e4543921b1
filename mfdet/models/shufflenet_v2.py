"""ShuffleNetV2 (Ma et al., ECCV 2018), one of the paper's peers, of mmcv's layers."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from mfdet.models.staged import StagedBackbone

WIDTHS = {  # Table 5, by width
    '0.5x': (48, 96, 192),
    '1.0x': (116, 232, 464),
    '1.5x': (176, 352, 704),
    '2.0x': (244, 488, 976),
}
DEPTHS = (4, 8, 4)
BN = dict(type='BN')


class ShuffleBlock(BaseModule):
    """Block of ShuffleNetV2 (Figure 3 c and d): half of the channels are convolved, then both halves are shuffled.

    Args:
        in_channels, out_channels: channels; equal at stride 1.
        stride: 1, or 2 to halve the map, where both branches take all channels.
    """

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.stride = stride
        width = out_channels // 2

        def depthwise(channels):
            return ConvModule(channels, channels, 3, stride, 1, groups=channels, norm_cfg=BN, act_cfg=None)

        if stride == 2:
            self.branch1 = nn.Sequential(depthwise(in_channels), ConvModule(in_channels, width, 1, norm_cfg=BN))
        self.branch2 = nn.Sequential(
            ConvModule(in_channels if stride == 2 else width, width, 1, norm_cfg=BN),
            depthwise(width),
            ConvModule(width, width, 1, norm_cfg=BN),
        )

    def forward(self, x):
        """Return (B, out_channels, H/stride, W/stride) of x (B, in_channels, H, W)."""
        if self.stride == 2:
            halves = self.branch1(x), self.branch2(x)
        else:
            kept, taken = x.chunk(2, dim=1)
            halves = kept, self.branch2(taken)
        return F.channel_shuffle(torch.cat(halves, 1), 2)


@MODELS.register_module()
class ShuffleNetV2(StagedBackbone):
    """ShuffleNetV2: images (B, 3, H, W) to maps at strides 4, 8, 16 and 32; 24, 116, 232 and 464 channels at 1.0×.

    Its entries are named as in OpenMMLab's published classifiers, which ``init_cfg`` and ``--backbone-weights`` take.

    Args:
        arch: '0.5x', '1.0x', '1.5x' or '2.0x'.
        out_indices, frozen_stages, norm_eval, init_cfg: see :class:`mfdet.models.backbone.Backbone`.
        last_conv: the classifier's 1×1 convolution to 1024 channels (2048 at 2.0×) as part of the last stage.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        arch='1.0x',
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_eval=False,
        last_conv=False,
        init_cfg=None,
    ):
        super().__init__(arch, WIDTHS, out_indices, frozen_stages, norm_eval, init_cfg)
        last = 2048 if arch == '2.0x' else 1024
        widths = 24, *WIDTHS[arch][:2], last if last_conv else WIDTHS[arch][2]
        self.out_channels = [widths[i] for i in self.out_indices]
        self.conv1 = ConvModule(3, 24, 3, stride=2, padding=1, norm_cfg=BN)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layers = nn.ModuleList()
        channels = 24
        for width, depth in zip(WIDTHS[arch], DEPTHS, strict=True):
            blocks = [ShuffleBlock(width if i else channels, width, 1 if i else 2) for i in range(depth)]
            self.layers.append(nn.Sequential(*blocks))
            channels = width
        if last_conv:
            self.layers.append(ConvModule(channels, last, 1, norm_cfg=BN))
        self._freeze_stages()

    def chain(self):
        """Modules of each stage, see :class:`mfdet.models.staged.StagedBackbone`."""
        return [[self.conv1], [self.maxpool], [self.layers[0]], [self.layers[1]], list(self.layers[2:])]
