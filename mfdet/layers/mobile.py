"""Mobile: the inverted bottlenecks that update the map (Mobile-Former, section 3.2 and Table 1).

Convolutions carry a BatchNorm and no bias. With ``groups`` > 1 (the 26M variant) every 1×1 convolution is grouped and
channel shuffles let the groups exchange.
"""

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mfdet.layers.dynamic_relu import DynamicReLU, StaticReLU

BN = dict(type='BN')


def channel_shuffle(x, groups):
    """Interleave the channels of x (B, C, H, W): view C as (groups, C / groups), transpose, flatten."""
    if groups == 1:  # the same, without a copy in the runtimes
        return x
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def pointwise(in_channels, out_channels, groups=1, act_cfg=None):
    """1×1 convolution and BatchNorm."""
    return ConvModule(in_channels, out_channels, 1, groups=groups, norm_cfg=BN, act_cfg=act_cfg)


def depthwise(in_channels, ratio=1, stride=1, act_cfg=None):
    """3×3 depthwise convolution to ``in_channels * ratio`` channels (*expanding* if ratio > 1) and BatchNorm."""
    return ConvModule(
        in_channels,
        in_channels * ratio,
        3,
        stride=stride,
        padding=1,
        groups=in_channels,
        norm_cfg=BN,
        act_cfg=act_cfg,
    )


def relu(channels, token_dim, dynamic, mix_hidden=False):
    """The activation of a Mobile block: dynamic, or plain in the ablation."""
    return DynamicReLU(channels, token_dim, mix_hidden) if dynamic else StaticReLU()


def zero_padding(x, valid):
    """Zero x (B, C, H, W) outside the image, where ``valid``, bool (B, 1, H, W) or None, is False.

    Done before a spatial convolution, it keeps padding from reaching into the image: an image alone has zeros there.
    """
    return x if valid is None else x * valid


def halve(valid):
    """Validity, bool (B, 1, H, W) or None, at half the resolution: a cell is valid if any of it is image."""
    return None if valid is None else valid[..., ::2, ::2]


def halve_logits(logits, valid=None):
    """Average logits (B, M, H, W) over the valid positions of each cell of a map of half the size, rounded up."""
    height, width = logits.shape[-2:]

    def pool(x):
        if height % 2 == 0 and width % 2 == 0:  # the same, and exporters can write it for any size
            return F.avg_pool2d(x, 2)
        return F.adaptive_avg_pool2d(x, ((height + 1) // 2, (width + 1) // 2))

    if valid is None:
        return pool(logits)
    share = pool(valid.to(logits.dtype))
    return pool(logits * valid) / share.masked_fill(share == 0, 1)  # a small number there would overflow in float16


class BneckLite(nn.Module):
    """The lite bottleneck that opens every variant: expanding depthwise 3×3, ReLU6, 1×1. It has no tokens.

    Args:
        in_channels, out_channels: channels of the input and output map.
        expand_ratio: expansion of the depthwise convolution.
        stride: 1 or 2; with stride 1 and equal channels the input is added.
        groups: groups of the 1×1 convolution.
    """

    def __init__(self, in_channels, out_channels, expand_ratio, stride=1, groups=1):
        super().__init__()
        self.shuffle = in_channels if groups > 1 else 1
        self.residual = stride == 1 and in_channels == out_channels
        self.depthwise = depthwise(in_channels, expand_ratio, stride, act_cfg=dict(type='ReLU6'))
        self.pointwise = pointwise(in_channels * expand_ratio, out_channels, groups)

    def forward(self, x, valid=None):
        """Map x (B, C_in, H, W) to (B, C_out, ceil(H/stride), ceil(W/stride)); ``valid`` as in :class:`Mobile`."""
        y = self.pointwise(channel_shuffle(self.depthwise(zero_padding(x, valid)), self.shuffle))
        return x + y if self.residual else y


class Mobile(nn.Module):
    """Stride-1 inverted bottleneck: 1×1 expand, depthwise 3×3, 1×1 project, with dynamic ReLUs after the first two.

    Args:
        in_channels, out_channels: channels of the input and output map; the input is added where they are equal.
        expand_ratio: expansion e of the hidden channels.
        token_dim: width of the tokens that drive the dynamic ReLUs.
        dynamic_relu: False for plain ReLUs.
        groups: groups of the 1×1 convolutions.
        mix_hidden: see :class:`mfdet.layers.DynamicReLU`.
    """

    def __init__(
        self, in_channels, out_channels, expand_ratio, token_dim, dynamic_relu=True, groups=1, mix_hidden=False
    ):
        super().__init__()
        hidden = in_channels * expand_ratio
        self.groups = groups
        self.residual = in_channels == out_channels
        self.expand = pointwise(in_channels, hidden, groups)
        self.act1 = relu(hidden, token_dim, dynamic_relu, mix_hidden)
        self.depthwise = depthwise(hidden)
        self.act2 = relu(hidden, token_dim, dynamic_relu, mix_hidden)
        self.project = pointwise(hidden, out_channels, groups)

    def forward(self, x, tokens=None, logits=None, valid=None):
        """Map x (B, C_in, H, W) to (B, C_out, H, W).

        Args:
            x: the map.
            tokens: (B, M, d), for dynamic ReLU.
            logits: (B, M, H, W) from Mobile→Former, for spatial-aware dynamic ReLU.
            valid: bool (B, 1, H, W), False where the map is padding; None if it is all image.
        """
        mixing = None if logits is None else logits.softmax(1)
        y = self.act1(channel_shuffle(self.expand(x), self.groups), tokens, mixing)
        y = self.act2(self.depthwise(zero_padding(y, valid)), tokens, mixing)
        y = channel_shuffle(self.project(y), self.groups)
        return x + y if self.residual else y


class MobileDownsample(nn.Module):
    """Stride-2 block: depthwise (stride 2) and 1×1 to the new width, then the same at stride 1 with a residual.

    Both depthwise convolutions are expanding, each followed by a dynamic ReLU.

    Args:
        in_channels, out_channels: channels of the input and output map.
        expand_ratio1, expand_ratio2: expansions e1 and e2 of the two depthwise convolutions.
        token_dim: width of the tokens that drive the dynamic ReLUs.
        dynamic_relu: False for plain ReLUs.
        groups: groups of the 1×1 convolutions.
    """

    def __init__(self, in_channels, out_channels, expand_ratio1, expand_ratio2, token_dim, dynamic_relu=True, groups=1):
        super().__init__()
        self.shuffle1, self.shuffle2 = (in_channels, out_channels) if groups > 1 else (1, 1)
        self.depthwise1 = depthwise(in_channels, expand_ratio1, stride=2)
        self.act1 = relu(in_channels * expand_ratio1, token_dim, dynamic_relu)
        self.pointwise1 = pointwise(in_channels * expand_ratio1, out_channels, groups)
        self.depthwise2 = depthwise(out_channels, expand_ratio2)
        self.act2 = relu(out_channels * expand_ratio2, token_dim, dynamic_relu)
        self.pointwise2 = pointwise(out_channels * expand_ratio2, out_channels, groups)

    def forward(self, x, tokens=None, logits=None, valid=None):
        """Map x (B, C_in, H, W) to (B, C_out, ceil(H/2), ceil(W/2)); the other arguments as in :class:`Mobile`."""
        y = channel_shuffle(self.depthwise1(zero_padding(x, valid)), self.shuffle1)
        mixing = None if logits is None else halve_logits(logits, valid).softmax(1)
        y = self.pointwise1(self.act1(y, tokens, mixing))
        z = channel_shuffle(self.depthwise2(zero_padding(y, halve(valid))), self.shuffle2)
        return y + self.pointwise2(self.act2(z, tokens, mixing))
