"""What the map shows inside the box of a query; beyond the paper, for E2E-MF+."""

import torch
import torch.nn.functional as F
from torch import nn

from mfdet.layers.mobile import zero_padding
from mfdet.layers.precision import in_float32


class BoxSampling(nn.Module):
    """Update queries from an even grid of points of the map, laid over each query's own box.

    Mobile→Former averages over the whole map, which hardly tells where an object ends. Here the points keep their
    order, so that a query sees on which side its box is too large (after RoIAlign of Mask R-CNN, He et al., ICCV 2017,
    and Sparse R-CNN, Sun et al., CVPR 2021). Then residual and LayerNorm, as in the block.

    Args:
        channels: channels C of the map.
        query_dim: width d of a query.
        points: points along each side of the box.
        hidden: channels to which each point is reduced first.
        reach: side of the grid over the side of the box; above 1 it sees beyond the borders.
    """

    def __init__(self, channels, query_dim, points=4, hidden=24, reach=1.2):
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.proj = nn.Linear(hidden * points**2, query_dim)
        self.norm = nn.LayerNorm(query_dim)
        steps = ((torch.arange(points) + 0.5) / points - 0.5) * reach
        grid = torch.stack(torch.meshgrid(steps, steps, indexing='xy'), -1).flatten(0, 1)
        self.register_buffer('grid', grid, persistent=False)  # (P², 2), x and y in sides of the box

    def forward(self, x, queries, boxes, extent, valid=None):
        """Update the queries.

        Args:
            x: the map (B, C, H, W).
            queries: (B, M, d).
            boxes: (B, M, 4) normalised (cx, cy, w, h).
            extent: width and height of each image in cells of the map, (B or 1, 2).
            valid: bool (B, 1, H, W), False at padding; None if it is all image. Points outside the image read 0.

        Returns:
            The new queries (B, M, d).
        """
        places = boxes[:, :, None, :2] + boxes[:, :, None, 2:] * self.grid  # (B, M, P², 2)
        # Divided by one side after the other, as an exporter takes a tensor of both for constants.
        share = torch.stack([extent[:, 0] / x.shape[-1], extent[:, 1] / x.shape[-2]], -1)
        places = 2 * places * share[:, None, None].to(boxes.dtype) - 1
        seen = F.grid_sample(in_float32(zero_padding(x, valid)), places, align_corners=False)  # (B, C, M, P²)
        seen = F.relu(self.reduce(seen.to(x.dtype).permute(0, 2, 3, 1)))
        return self.norm(queries + self.proj(seen.flatten(2)))
