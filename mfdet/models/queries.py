"""Object queries as they enter the end-to-end head, and where they start."""

import dataclasses
import math

import numpy as np
import torch
from torch import nn

from mfdet.errors import InputError
from mfdet.layers.position import place_code
from mfdet.values import is_count


@dataclasses.dataclass
class Queries:
    """Object queries as they enter the first block.

    Training aids append groups: each group is matched to all objects by itself, and only the first, the model's own,
    updates the maps.

    Attributes:
        features: feature part q^f (B, M, d).
        positions: position part q^p (B, M, d).
        references: boxes the predictions start from, logits of (cx, cy, w, h), (B, M, 4).
        groups: sizes of the groups, in order.
        mask: bool (M, M) or (B, 1, M, M), True where the query of the row may attend to that of the column (the
            opposite of torch's and mmdet's attention masks). None lets each group attend to itself alone.

    Raises:
        ValueError: the groups do not sum up to M.
    """

    features: torch.Tensor
    positions: torch.Tensor
    references: torch.Tensor
    groups: tuple
    mask: torch.Tensor | None = None

    def __post_init__(self):
        if sum(self.groups) != self.features.shape[1]:
            raise ValueError(f'groups must sum up to the {self.features.shape[1]} queries, got {self.groups}')
        if self.mask is None and len(self.groups) > 1:
            self.mask = group_mask(self.groups, self.features.device)

    def extended(self, features, positions, references, groups):
        """Return these queries and, after them, further groups, all of which attend to themselves alone."""
        return Queries(
            torch.cat([self.features, features], 1),
            torch.cat([self.positions, positions], 1),
            torch.cat([self.references, references], 1),
            (*self.groups, *groups),
        )


def group_mask(groups, device):
    """Return bool (M, M), True between the queries of one group, for groups of these sizes that sum up to M."""
    group = torch.from_numpy(np.arange(len(groups)).repeat(groups)).to(device)
    return group[:, None] == group


def grid_boxes(count, size=0.3):
    """Boxes (count, 4), normalised (cx, cy, w, h), with centres on an even grid over the image."""
    rows = max(1, round(math.sqrt(count)))
    boxes = []
    for row in range(rows):
        columns = count // rows + (row < count % rows)
        boxes += [((column + 0.5) / columns, (row + 0.5) / rows, size, size) for column in range(columns)]
    return torch.tensor(boxes)


def grid_queries(count, dim):
    """Return what learned queries start as: features (count, dim), positions (count, dim), references (count, 4)."""
    boxes = grid_boxes(count)
    return 0.02 * torch.randn(count, dim), place_code(boxes[None, :, :2], dim)[0], boxes.logit()


class QueryGroups(nn.Module):
    """Further groups of learned queries in training (Group DETR, Chen et al., ICCV 2023).

    Each is matched one-to-one by itself, so that an object trains one query of every group. The model is left with the
    first group, its own.

    Args:
        groups: number of groups, the model's own among them, at least 2.
        num_queries: queries of each.
        query_dim: their width d.

    Raises:
        InputError: ``groups`` is no such number.
    """

    def __init__(self, groups, num_queries, query_dim):
        super().__init__()
        if not is_count(groups):
            raise InputError(f'query_groups must be a whole number of at least 1, got {groups!r}')
        self.sizes = (num_queries,) * (groups - 1)
        parts = zip(*(grid_queries(num_queries, query_dim) for _ in self.sizes), strict=True)
        self.features, self.positions, self.references = (nn.Parameter(torch.cat(part)) for part in parts)

    def forward(self, own):
        """Return :class:`Queries` with these groups after the model's own."""
        batch = len(own.features)
        further = (x.expand(batch, -1, -1) for x in (self.features, self.positions, self.references))
        return own.extended(*further, self.sizes)
