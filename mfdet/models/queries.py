"""Object queries as they enter the end-to-end head, and where they start."""

import dataclasses
import math

import torch


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
        mask: bool (M, M), True where the query of the row may attend to that of the column (the opposite of torch's
            and mmdet's attention masks). None lets each group attend to itself alone.

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
            blocks = [torch.ones(size, size, dtype=torch.bool, device=self.features.device) for size in self.groups]
            self.mask = torch.block_diag(*blocks)


def grid_boxes(count, size=0.3):
    """Boxes (count, 4), normalised (cx, cy, w, h), with centres on an even grid over the image."""
    rows = max(1, round(math.sqrt(count)))
    boxes = []
    for row in range(rows):
        columns = count // rows + (row < count % rows)
        boxes += [((column + 0.5) / columns, (row + 0.5) / rows, size, size) for column in range(columns)]
    return torch.tensor(boxes)
