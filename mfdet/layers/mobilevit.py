"""The block of MobileViT (Mehta & Rastegari, ICLR 2022, section 3.1): convolutions around a transformer."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.layers import InvertedResidual
from torch import nn
from torch.fx.experimental.symbolic_shapes import statically_known_true

from mfdet.layers.bridge import split_heads

NORM, ACT = dict(type='BN'), dict(type='SiLU')
PATCH = 2  # side of a patch in cells of the map


def inverted_residual(in_channels, out_channels, stride, expand_ratio):
    """Return mmdet's inverted residual of MobileNetV2, with the activation of MobileViT."""
    hidden = in_channels * expand_ratio
    return InvertedResidual(in_channels, out_channels, hidden, stride=stride, norm_cfg=NORM, act_cfg=ACT)


class SelfAttention(nn.Module):
    """Multi-head self-attention with projected queries, keys, values and output, all with bias.

    Args:
        width: width d of a row, divisible by ``heads``.
        heads: attention heads.
    """

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, rows):
        """Map rows (B, N, d) to (B, N, d)."""
        parts = (split_heads(layer(rows), self.heads) for layer in (self.query, self.key, self.value))
        return self.proj(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Self-attention, then a feed-forward network of twice the width; both with residual and pre-norm.

    Args:
        width: width d of a row.
        heads: attention heads.
        dropout: dropout of what is added to a row.
    """

    def __init__(self, width, heads=4, dropout=0.0):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.ffn_norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows):
        """Map rows (B, N, d) to (B, N, d)."""
        rows = rows + self.dropout(self.attention(self.norm(rows)))
        return rows + self.dropout(self.ffn(self.ffn_norm(rows)))


def is_even(*sides):
    """Tell whether sizes are known to be even; in a graph under export, those of any image must be."""
    return all(statically_known_true(side % PATCH == 0) for side in sides)


class MobileViTBlock(nn.Module):
    """Downsampling, then local features by a convolution and global ones by a transformer, fused with its input.

    The transformer sees the map as 2×2 patches and relates cells at the same place in each patch. A map of odd height
    or width is enlarged bilinearly to an even one for it, and reduced again after it, as in the released code.

    Args:
        in_channels, out_channels: channels before and after.
        width: width d of the transformer.
        depth: its number of layers.
        expand_ratio: of the inverted residual with stride 2 in front.
        dropout: of the transformer.
    """

    def __init__(self, in_channels, out_channels, width, depth, expand_ratio, dropout=0.0):
        super().__init__()
        self.downsample = inverted_residual(in_channels, out_channels, 2, expand_ratio)
        self.local = ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=NORM, act_cfg=ACT)
        self.widen = nn.Conv2d(out_channels, width, 1, bias=False)
        self.transformer = nn.Sequential(*(TransformerLayer(width, dropout=dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.project = ConvModule(width, out_channels, 1, norm_cfg=NORM, act_cfg=ACT)
        self.fuse = ConvModule(2 * out_channels, out_channels, 3, padding=1, norm_cfg=NORM, act_cfg=ACT)

    def transform(self, x):
        """Run the transformer on a map (B, d, H, W) of even H and W."""
        height, width = x.shape[2] // PATCH, x.shape[3] // PATCH
        patches = x.unflatten(3, (width, PATCH)).unflatten(2, (height, PATCH))  # (B, d, h, 2, w, 2)
        rows = patches.permute(0, 3, 5, 2, 4, 1).flatten(3, 4).flatten(0, 2)  # (4 B, h·w, d)
        rows = self.norm(self.transformer(rows))
        patches = rows.unflatten(0, (-1, PATCH, PATCH)).unflatten(3, (height, width))  # (B, 2, 2, h, w, d)
        return patches.permute(0, 5, 3, 1, 4, 2).flatten(4, 5).flatten(2, 3)

    def forward(self, x):
        """Map x (B, C, H, W) to (B, C', ceil(H/2), ceil(W/2))."""
        x = self.downsample(x)
        y, size = self.widen(self.local(x)), x.shape[2:]
        if is_even(*size):
            y = self.transform(y)
        else:
            even = [(side + PATCH - 1) // PATCH * PATCH for side in size]  # ONNX would round −side / 2 up
            y = self.transform(F.interpolate(y, even, mode='bilinear', align_corners=False))
            y = F.interpolate(y, size, mode='bilinear', align_corners=False)
        return self.fuse(torch.cat([x, self.project(y)], 1))
