"""Object queries out of the maps: each cell is scored and proposes a box, and the best cells become queries."""

import dataclasses

import torch
import torch.nn.functional as F
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps, bbox_xyxy_to_cxcywh
from mmengine.structures import InstanceData
from torch import nn

from mfdet.layers.precision import in_float32
from mfdet.layers.pyramid import Pyramid, Tower

PADDED = -20.0  # logit of cells outside the image
EMPTY = 0.5  # their box, (cx, cy, w, h)
NO_PEAK = 10.0  # how far a cell that is no peak ranks behind
LEAST = 3.0  # sides of an object, in cells of the finest map, below which it is given cells as if it were so large


def moved(boxes, steps):
    """Move boxes (..., 4), (cx, cy, w, h), by steps (..., 4): shifts in sides of the box, then logarithms of growth.

    As mmdet's DeltaXYWHBBoxCoder: what a step means depends on neither the place nor the size of a box.
    """
    centres, sizes = boxes.split(2, -1)
    shift, growth = steps.split(2, -1)
    return torch.cat([centres + sizes * shift, sizes * growth.clamp(-4, 4).exp()], -1)


@dataclasses.dataclass
class Cells:
    """The boxes of the cells of all scales, N in all: by scale from fine to coarse, by box of the cell, by place.

    Attributes:
        logits: class logits (B, N, K).
        peaks: the same, but lower by :data:`NO_PEAK` where a neighbour is better.
        boxes: normalised (cx, cy, w, h), (B, N, 4).
        features: (B, N, C).
        priors: the boxes they start from, (B or 1, N, 4).
        valid: bool (B, N), False at padding; None if it is all image.
        counts: number of boxes of each scale.
    """

    logits: torch.Tensor
    peaks: torch.Tensor
    boxes: torch.Tensor
    features: torch.Tensor
    priors: torch.Tensor
    valid: torch.Tensor | None
    counts: list


class QuerySelection(nn.Module):
    """Score the cells of a small pyramid of maps and take the best as object queries (RT-DETR, Zhao et al., CVPR 2024).

    Cells learn like those of a dense detector, several for each object (:meth:`assign`), which takes far fewer images
    than one for each object. So that the queries are not all of the same few objects, the cells that are the best of
    their 3×3 neighbours in a class come first (CenterNet, Zhou et al., 2019).

    Args:
        in_channels: channels of the backbone's maps, coarse to fine.
        channels: channels C of the pyramid.
        num_classes: number of classes K.
        num_queries: number of queries M.
        query_dim: width d of a query.
        boxes_per_cell: boxes A of each cell, for objects that overlap or differ in size.
        cell_size: side of the smallest of them at the start, in cells; they grow to less than twice that, so that the
            largest and the smallest of the next map follow on each other.
        tower_depth: convolutions before the scores, and before the boxes.
    """

    def __init__(
        self,
        in_channels,
        channels,
        num_classes,
        num_queries,
        query_dim,
        boxes_per_cell=3,
        cell_size=2.0,
        tower_depth=2,
    ):
        super().__init__()
        self.num_queries = num_queries
        self.cell_sizes = [cell_size * 2 ** (i / boxes_per_cell) for i in range(boxes_per_cell)]
        self.pyramid = Pyramid(in_channels, channels)
        self.class_tower = Tower(channels, tower_depth)
        self.box_tower = Tower(channels, tower_depth)
        self.classify = nn.Conv2d(channels, boxes_per_cell * num_classes, 1)
        self.regress = nn.Conv2d(channels, boxes_per_cell * 4, 1)
        self.query = nn.Linear(2 * channels, query_dim)
        self.norm = nn.LayerNorm(query_dim)
        self.assigner = TASK_UTILS.build(dict(type='mmdet.ATSSAssigner', topk=9 * boxes_per_cell))

    def cells(self, scales):
        """Score and locate the cells of the pyramid.

        Args:
            scales: of :func:`mfdet.layers.scales.scales_of`.

        Returns:
            The maps of the pyramid, (B, C, H, W) from coarse to fine, and their :class:`Cells`.
        """
        maps, parts, masks = self.pyramid(scales), [], []
        count = len(self.cell_sizes)
        for x, (_, mask, extent) in zip(maps, scales, strict=True):
            of_class, of_box = self.class_tower(x, mask), self.box_tower(x, mask)
            logits = self.classify(of_class).unflatten(1, (count, -1))  # (B, A, K, H, W)
            if mask is not None:
                logits = logits.masked_fill(~mask[:, None], PADDED)
                masks.insert(0, mask.flatten(1).repeat(1, count))
            best = F.max_pool2d(logits.amax(1), 3, 1, 1)[:, None]
            peaks = torch.where(logits >= best, logits, logits - NO_PEAK)
            features = torch.cat([of_class, of_box], 1)[:, None].expand(-1, count, -1, -1, -1)
            steps = self.regress(of_box).unflatten(1, (count, -1))
            parts.insert(0, (logits, peaks, steps, features, self.priors(x, extent)))
        logits, peaks, steps, features, priors = (
            torch.cat([x.transpose(1, 2).flatten(2) for x in part], 2).transpose(1, 2)
            for part in zip(*parts, strict=True)
        )
        boxes, valid = moved(priors, steps), None
        if masks:
            valid = torch.cat(masks, 1)
            boxes = boxes.masked_fill(~valid[..., None], EMPTY)
        counts = [count * x.shape[2] * x.shape[3] for x in maps[::-1]]
        return maps, Cells(logits, peaks, boxes, features, priors, valid, counts)

    def priors(self, x, extent):
        """Return the boxes that the cells of a map x (B, C, H, W) start from, (B or 1, A, 4, H, W)."""
        rows = (torch.arange(x.shape[2], device=x.device) + 0.5) / extent[:, 1:]
        columns = (torch.arange(x.shape[3], device=x.device) + 0.5) / extent[:, :1]
        shape = extent.shape[0], 1, *x.shape[2:]
        centres = columns[:, None, None].expand(shape), rows[:, None, :, None].expand(shape)
        sizes = [(side / extent)[:, :, None, None].expand(-1, -1, *x.shape[2:]) for side in self.cell_sizes]
        return torch.stack([torch.cat([*centres, size], 1) for size in sizes], 1).to(in_float32(x).dtype)

    @torch.no_grad()
    def assign(self, cells, objects, sizes):
        """Give each object several cells (ATSS, Zhang et al., CVPR 2020).

        Those of an object must have their centre in it, so that one hardly larger than a cell would have one or two
        where others have nine. It is therefore given cells as if its sides were :data:`LEAST` cells long.

        Args:
            cells: :class:`Cells` of B images.
            objects: B InstanceData with ``bboxes`` (T_b, 4) xyxy in pixels and ``labels`` (T_b,).
            sizes: (B, 4) image width, height, width, height in pixels.

        Returns:
            Long tensors (P,): image, cell and object of each of the P pairs; the object counts through the batch.
        """
        pairs, offset = [], 0
        for i, (item, size) in enumerate(zip(objects, sizes, strict=True)):
            inside, counts = torch.arange(sum(cells.counts), device=sizes.device), cells.counts
            if cells.valid is not None:
                inside = cells.valid[i].nonzero()[:, 0]
                counts = [int(part.sum()) for part in cells.valid[i].split(counts)]
            priors = cells.priors[i % len(cells.priors)].float()
            least = LEAST * priors[0, 2:] / self.cell_sizes[0] * size[:2]  # of width and height, in pixels
            boxes = bbox_xyxy_to_cxcywh(item.bboxes.to(size))
            boxes = torch.cat([boxes[:, :2], boxes[:, 2:].maximum(least)], 1)
            grown = InstanceData(bboxes=bbox_cxcywh_to_xyxy(boxes), labels=item.labels)
            priors = InstanceData(priors=bbox_cxcywh_to_xyxy(priors[inside]) * size)
            found = self.assigner.assign(priors, counts, grown).gt_inds  # 0 where there is none
            cell = found.nonzero()[:, 0]
            pairs.append(torch.stack([torch.full_like(cell, i), inside[cell], found[cell] - 1 + offset]))
            offset += len(item)
        return torch.cat(pairs, 1).unbind()

    def forward(self, cells):
        """Take the M best of the cells as queries.

        If there are fewer cells than queries, empty ones without a score make up for them.

        Returns:
            Queries (B, M, d), their boxes (B, M, 4), normalised (cx, cy, w, h), and class logits (B, M, K).
        """
        peaks, boxes, logits, features = (
            F.pad(x, (0, 0, 0, self.num_queries), value=value)
            for x, value in (
                (cells.peaks, PADDED - 2 * NO_PEAK),
                (cells.boxes, EMPTY),
                (cells.logits, PADDED),
                (cells.features, 0.0),
            )
        )
        best = peaks.amax(-1).topk(self.num_queries).indices[..., None]
        boxes, logits, features = (x.gather(1, best.expand(-1, -1, x.shape[-1])) for x in (boxes, logits, features))
        return self.norm(self.query(features)), boxes, logits

    def nearest(self, cells, boxes):
        """Return the queries (B, N, d) that cells would be which start from about the same boxes as these, (B, N, 4).

        For training, where boxes do not come from cells.
        """
        chosen = []
        for i, box in enumerate(bbox_cxcywh_to_xyxy(boxes)):  # one by one, as N times all cells of a batch are many
            overlaps = bbox_overlaps(box, bbox_cxcywh_to_xyxy(cells.priors[i % len(cells.priors)].to(box)))
            if cells.valid is not None:
                overlaps = overlaps.masked_fill(~cells.valid[i], -1)
            chosen.append(overlaps.argmax(-1))
        index = torch.stack(chosen)[..., None].expand(-1, -1, cells.features.shape[-1])
        return self.norm(self.query(cells.features.gather(1, index)))
