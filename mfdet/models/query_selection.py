"""Object queries out of the maps: each cell is scored and proposes a box, and the best cells become queries."""

import dataclasses

import torch
import torch.nn.functional as F
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmengine.structures import InstanceData
from torch import nn

from mfdet.layers.mobile import depthwise, pointwise, zero_padding
from mfdet.layers.up_conv import UpConv

CELL_SIZE = 3.0  # side of the box that a cell starts from, in cells
PADDED = -20.0  # logit of cells outside the image
BESIDE = -10.0  # added to the logit of a cell beside a better one, when the best are chosen


@dataclasses.dataclass
class Cells:
    """The cells of all scales, fine to coarse; M empty ones come last.

    Attributes:
        logits: class logits (B, N, K).
        references: boxes before the sigmoid, (cx, cy, w, h) of the image, (B, N, 4).
        features: (B, N, 2C).
        ranks: (B, N), by which the best are chosen.
        anchors: where the boxes start, normalised (cx, cy, w, h), one (B or 1, H·W, 4) for each scale.
    """

    logits: torch.Tensor
    references: torch.Tensor
    features: torch.Tensor
    ranks: torch.Tensor
    anchors: list


class QuerySelection(nn.Module):
    """Score the cells of a small pyramid of maps and take the best as object queries (after RT-DETR, CVPR 2024).

    The pyramid goes from coarse to fine by the up-convolutions of the head. Cells are trained one-to-many: those around
    an object's centre learn it together (ATSS, Zhang et al., CVPR 2020), and a cell beside a better one is chosen only
    once those are used up (as the peaks of CenterNet, Zhou et al., 2019). As many empty cells as there are queries come
    last, for images with fewer cells than queries.

    Args:
        in_channels: channels of the backbone's maps, coarse to fine.
        channels: channels C of the pyramid.
        num_classes: number of classes K.
        num_queries: number of queries M.
        query_dim: width d of a query.
    """

    def __init__(self, in_channels, channels, num_classes, num_queries, query_dim):
        super().__init__()
        self.num_queries = num_queries
        coarsest, *finer = in_channels
        self.pyramid = nn.ModuleList(
            [pointwise(coarsest, channels), *(UpConv(channels, width, channels) for width in finer)]
        )
        self.class_towers, self.box_towers = (self._build_towers(channels, len(in_channels)) for _ in range(2))
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.regress = nn.Conv2d(channels, 4, 1)
        self.query = nn.Linear(2 * channels, query_dim)
        self.norm = nn.LayerNorm(query_dim)
        self.assigner = TASK_UTILS.build(dict(type='ATSSAssigner', topk=9))

    @staticmethod
    def _build_towers(channels, count):
        relu = dict(type='ReLU')
        return nn.ModuleList(
            nn.Sequential(depthwise(channels, act_cfg=relu), pointwise(channels, channels, act_cfg=relu))
            for _ in range(count)
        )

    def maps(self, scales):
        """Return the pyramid, maps (B, C, H, W) from coarse to fine, of :func:`mfdet.models.e2e_head.scales_of`."""
        maps = []
        for (feat, mask, _), entry in zip(scales, self.pyramid, strict=True):
            maps.append(entry(maps[-1], feat, mask) if maps else entry(feat))
        return maps

    def cells(self, maps, scales):
        """Score and locate the cells of the pyramid; return :class:`Cells`."""
        parts, anchors = [], []
        for x, to_class, to_box, (_, mask, extent) in zip(
            maps, self.class_towers, self.box_towers, scales, strict=True
        ):
            x = zero_padding(x, mask)
            of_class, of_box = to_class(x), to_box(x)
            anchors.append(self.anchors(x, extent))
            logits = self.classify(of_class)
            boxes = self.regress(of_box) + anchors[-1].clamp(0.005, 0.995).logit()
            features = torch.cat([of_class, of_box], 1)
            if mask is not None:
                logits = logits.masked_fill(~mask, PADDED)
                boxes, features = zero_padding(boxes, mask), zero_padding(features, mask)
            score = logits.amax(1, keepdim=True)
            is_peak = score == F.max_pool2d(score, 3, 1, 1)
            parts.append((logits, boxes, features, torch.where(is_peak, score, score + BESIDE)))
        fillings = PADDED, 0.0, 0.0, PADDED
        logits, boxes, features, ranks = (
            F.pad(torch.cat([x.flatten(2) for x in part[::-1]], 2), (0, self.num_queries), value=filling)
            for part, filling in zip(zip(*parts, strict=True), fillings, strict=True)
        )
        anchors = [boxes.flatten(2).transpose(1, 2) for boxes in anchors[::-1]]
        return Cells(logits.transpose(1, 2), boxes.transpose(1, 2), features.transpose(1, 2), ranks[:, 0], anchors)

    @staticmethod
    def anchors(x, extent):
        """Return the boxes that the cells of a map x (B, C, H, W) start from, normalised, (B or 1, 4, H, W)."""
        rows = (torch.arange(x.shape[2], device=x.device) + 0.5) / extent[:, 1:]
        columns = (torch.arange(x.shape[3], device=x.device) + 0.5) / extent[:, :1]
        size = (CELL_SIZE / extent)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        centres = columns[:, None, None].expand(-1, -1, x.shape[2], -1), rows[:, None, :, None].expand_as(size[:, :1])
        return torch.cat([*centres, size], 1).to(x.dtype)

    def forward(self, cells):
        """Choose M of the cells: their features as queries (B, M, d), boxes (B, M, 4), logits (B, M, K)."""
        best = cells.ranks.topk(self.num_queries).indices[..., None]

        def taken(x):
            return x.gather(1, best.expand(-1, -1, x.shape[-1]))

        return self.norm(self.query(taken(cells.features))), taken(cells.references).sigmoid(), taken(cells.logits)

    @torch.no_grad()
    def pairs(self, cells, objects, sizes):
        """Assign cells to objects, several to each, by ATSS.

        Args:
            cells: of :meth:`cells`.
            objects: B InstanceData with ``bboxes`` (T_b, 4) xyxy in pixels and ``labels``.
            sizes: (B, 4) image width, height, width, height in pixels.

        Returns:
            As :class:`mfdet.models.matcher.HungarianMatcher`: block (0), image, cell and object of each pair.
        """
        counts = [anchors.shape[1] for anchors in cells.anchors]
        anchors = torch.cat([part.expand(len(objects), -1, -1) for part in cells.anchors], 1)
        priors = bbox_cxcywh_to_xyxy(anchors.float()) * sizes[:, None]
        found, before = [], 0
        for i, item in enumerate(objects):
            result = self.assigner.assign(InstanceData(priors=priors[i]), counts, item)
            cell = result.gt_inds.clamp(min=0).nonzero()[:, 0]
            target = result.gt_inds[cell] - 1 + before
            found.append(torch.stack([torch.zeros_like(cell), torch.full_like(cell, i), cell, target]))
            before += len(item)
        return torch.cat(found, 1).unbind()
