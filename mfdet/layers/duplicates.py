"""Lower scores of queries that show the same object as a better one; beyond the paper, for E2E-MF+."""

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy

STEEPNESS = 12.0  # of the reduction over the IoU, in logits
THRESHOLD = 0.65  # IoU of a reduction by log 2


def pairwise_iou(boxes):
    """Return the IoU (B, M, M) of boxes (B, M, 4) xyxy with each other.

    As mmdet's ``bbox_overlaps``, which copies a number to the device: a GPU has to wait for it.
    """
    least, most = boxes.split(2, -1)
    sides = (torch.minimum(most[:, :, None], most[:, None]) - torch.maximum(least[:, :, None], least[:, None])).clamp(0)
    shared = sides[..., 0] * sides[..., 1]
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return shared / (areas[:, :, None] + areas[:, None] - shared).clamp(min=1e-6)


def duplicate_penalty(boxes, logits):
    """Tell how much the logits of each query are to be reduced for what better queries show.

    For each pair of queries that overlap, the one with the lower score of its class is reduced by
    softplus(12 · (IoU − 0.65)), and by the strongest of such pairs. A query that is itself reduced counts so much less
    against others, which is why it is done twice. In the manner of Matrix NMS (SOLOv2, Wang et al., NeurIPS 2020): no
    box is removed, nothing waits for anything before it, and it is a part of the graph as any layer.

    Args:
        boxes: (B, M, 4) normalised (cx, cy, w, h).
        logits: class logits (B, M, K).

    Returns:
        What to add to the logits of each query, (B, M, 1), never above 0. No gradient flows through it.
    """
    boxes, logits = boxes.detach(), logits.detach()
    own, label = logits.max(-1, keepdim=True)
    rival = logits.transpose(1, 2).gather(1, label.expand(-1, -1, logits.shape[1]))  # (B, M, M): j, as class of i
    order = torch.arange(logits.shape[1], device=logits.device)
    better = (rival > own) | ((rival == own) & (order < order[:, None]))
    corners = bbox_cxcywh_to_xyxy(boxes)
    votes = STEEPNESS * (pairwise_iou(corners) - THRESHOLD)
    votes = votes.masked_fill(~better, -1e4)
    penalty = -F.softplus(votes.amax(-1))
    return -F.softplus((votes + penalty[:, None]).amax(-1, keepdim=True))
