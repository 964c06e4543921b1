"""Object queries out of the maps: each cell is scored and proposes a box, and the best cells become queries."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from mfdet.layers.mobile import depthwise, pointwise, zero_padding
from mfdet.layers.up_conv import UpConv

PADDED = -20.0  # logit of cells outside the image


@dataclasses.dataclass
class Cells:
    """The cells of all scales, fine to coarse.

    Attributes:
        logits: class logits (B, N, K).
        references: boxes before the sigmoid, (cx, cy, w, h) of the image, (B, N, 4).
        features: (B, N, C).
    """

    logits: torch.Tensor
    references: torch.Tensor
    features: torch.Tensor


class QuerySelection(nn.Module):
    """Score the cells of a small pyramid of maps and take the best as object queries (RT-DETR, Zhao et al., CVPR 2024).

    The pyramid goes from coarse to fine by the up-convolutions of the head. As many empty cells as there are queries
    come last, for images with fewer cells than queries.

    Args:
        in_channels: channels of the backbone's maps, coarse to fine.
        channels: channels C of the pyramid.
        num_classes: number of classes K.
        num_queries: number of queries M.
        query_dim: width d of a query.
        cell_size: side of the box that a cell starts from, in cells.
    """

    def __init__(self, in_channels, channels, num_classes, num_queries, query_dim, cell_size=4.0):
        super().__init__()
        self.num_queries = num_queries
        self.cell_size = cell_size
        coarsest, *finer = in_channels
        self.pyramid = nn.ModuleList(
            [pointwise(coarsest, channels), *(UpConv(channels, width, channels) for width in finer)]
        )
        relu = dict(type='ReLU')
        self.towers = nn.ModuleList(
            nn.Sequential(depthwise(channels, act_cfg=relu), pointwise(channels, channels, act_cfg=relu))
            for _ in in_channels
        )
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.regress = nn.Conv2d(channels, 4, 1)
        self.query = nn.Linear(channels, query_dim)
        self.norm = nn.LayerNorm(query_dim)

    def maps(self, scales):
        """Return the pyramid, maps (B, C, H, W) from coarse to fine, of :func:`mfdet.models.e2e_head.scales_of`."""
        maps = []
        for (feat, mask, _), entry in zip(scales, self.pyramid, strict=True):
            maps.append(entry(maps[-1], feat, mask) if maps else entry(feat))
        return maps

    def cells(self, maps, scales):
        """Score and locate the cells of the pyramid; return :class:`Cells` of N cells, the M empty ones included."""
        parts = []
        for x, tower, (_, mask, extent) in zip(maps, self.towers, scales, strict=True):
            x = tower(zero_padding(x, mask))
            parts.append((self.classify(x), self.regress(x) + self.anchors(x, extent), x))
            if mask is not None:
                logits, *others = parts[-1]
                parts[-1] = logits.masked_fill(~mask, PADDED), *(zero_padding(other, mask) for other in others)
        parts = [torch.cat([x.flatten(2) for x in part[::-1]], 2).transpose(1, 2) for part in zip(*parts, strict=True)]
        values = PADDED, 0.0, 0.0
        return Cells(*(F.pad(x, (0, 0, 0, self.num_queries), value=v) for x, v in zip(parts, values, strict=True)))

    def anchors(self, x, extent):
        """Return the boxes of the cells of a map x (B, C, H, W) before the sigmoid, (B or 1, 4, H, W)."""
        rows = (torch.arange(x.shape[2], device=x.device) + 0.5) / extent[:, 1:]
        columns = (torch.arange(x.shape[3], device=x.device) + 0.5) / extent[:, :1]
        size = (self.cell_size / extent)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        centres = columns[:, None, None].expand(-1, -1, x.shape[2], -1), rows[:, None, :, None].expand_as(size[:, :1])
        return torch.cat([*centres, size], 1).clamp(0.005, 0.995).logit().to(x.dtype)

    def forward(self, cells):
        """Take the M best of the cells: as queries (B, M, d), their boxes (B, M, 4), normalised, and logits."""
        best = cells.logits.amax(-1).topk(self.num_queries).indices[..., None]

        def taken(x):
            return x.gather(1, best.expand(-1, -1, x.shape[-1]))

        return self.norm(self.query(taken(cells.features))), taken(cells.references).sigmoid(), taken(cells.logits)
