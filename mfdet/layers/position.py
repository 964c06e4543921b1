"""Position codes of maps and object queries (E2E-MF, Table 9)."""

import math

import torch
from mmdet.models.layers import coordinate_to_encoding
from torch import nn

# Position codes of maps and queries: waves of 0.1 to 2 periods over the image. With DETR's temperature of 10000 most
# channels hardly change over it.
CODE = dict(temperature=20, scale=4 * math.pi)


def place_code(places, dim):
    """Code pairs of numbers from 0 to 1, such as centres (x, y), (..., 2) to (..., dim): the code of y, then of x."""
    return coordinate_to_encoding(places, dim // 2, **CODE)


def align_position_codes(mobile_to_former, gain=1.0, noise=0.3):
    """Initialise the queries of Mobile→Former so that a query's position code attends to its place in the map.

    A channel of the map's code (:class:`PositionCode`) is given that channel of the query's code which has the nearest
    frequency; the random weights are scaled down to ``noise`` of what they were.
    """
    weight = mobile_to_former.query.weight.data.mul_(noise)  # (C, d)
    heads, dim = mobile_to_former.heads, weight.shape[1] // 2  # a code is half y and half x
    by_axis = weight.view(
        heads, 2, -1, 2, dim
    )  # (head, axis of the map, its channels, axis of the query, its channels)
    channels = torch.arange(by_axis.shape[2])
    pairs = (channels // 2 * dim / len(channels)).round().long().clamp(max=dim // 2 - 1)  # sine and cosine alternate
    for axis in range(2):
        by_axis[:, axis, channels, axis, 2 * pairs + channels % 2] += gain


def map_extent(x, valid):
    """Return width and height of each image in cells of a map x (B, C, H, W), (B or 1, 2) float32."""
    if valid is None:
        return torch.tensor([[x.shape[-1], x.shape[-2]]], dtype=torch.float32, device=x.device)
    return torch.stack([valid[:, 0, 0].sum(-1), valid[:, 0, :, 0].sum(-1)], -1).float()


class PositionCode(nn.Module):
    """2-D sine code of a map, the whole of it for each attention head.

    Args:
        channels: channels C of the map, divisible by 4 · heads.
        heads: attention heads of Mobile→Former, which split the channels.
    """

    def __init__(self, channels, heads=2):
        super().__init__()
        self.heads = heads
        self.features = channels // (2 * heads)

    def forward(self, x, extent):
        """Compute the code of a map.

        Args:
            x: the map (B, C, H, W).
            extent: width and height of each image in cells of this map, which need not be whole, (B or 1, 2). So
                a place of the image has the same code at every scale.

        Returns:
            (B or 1, C, H, W).
        """
        height, width = x.shape[-2:]
        rows = self.axis_code((torch.arange(height, device=x.device) + 0.5) / extent[:, 1:])  # (B, C / 2h, H)
        columns = self.axis_code((torch.arange(width, device=x.device) + 0.5) / extent[:, :1])
        parts = [rows[..., None].expand(-1, -1, -1, width), columns[:, :, None].expand(-1, -1, height, -1)]
        return torch.cat(parts * self.heads, 1).to(x.dtype)

    def axis_code(self, places):
        """Code places along an axis, in units of the image's size: (B, N) to (B, C / 2h, N)."""
        both = coordinate_to_encoding(places[..., None].expand(-1, -1, 2), self.features, **CODE)  # y, then x
        return both[..., : self.features].transpose(1, 2)
