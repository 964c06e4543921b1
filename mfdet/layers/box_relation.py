"""What the boxes of the other queries say of a query's score; beyond the paper, for E2E-MF+."""

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import nn


class BoxRelation(nn.Module):
    """Lower the score of a query that shows the same object as a better one.

    How much another query stands in the way is told by a small network from the overlap of the boxes and from how much
    better it is; then all of them are summed up. It starts as a soft non-maximum suppression, and the one-to-one
    matching trains it further (after Learning Non-Maximum Suppression, Hosang et al., CVPR 2017, and Relation
    Networks, Hu et al., CVPR 2018).

    Args:
        hidden: width of the network.
    """

    START = dict(overlap=12.0, threshold=0.6, ahead=4.0)  # of IoU, the IoU that counts half, and of being better
    SHARP = 20.0  # being better by a twentieth of a logit is enough: neighbouring cells score an object nearly alike

    def __init__(self, hidden=16):
        super().__init__()
        self.expand = nn.Linear(6, hidden)
        self.reduce = nn.Linear(hidden, 1)
        self.reset_parameters()

    def reset_parameters(self):
        """Start as the soft suppression of :attr:`START`."""
        nn.init.zeros_(self.reduce.weight)
        nn.init.zeros_(self.reduce.bias)

    def forward(self, boxes, logits):
        """Compare each query with all others.

        Args:
            boxes: (B, M, 4) normalised (cx, cy, w, h).
            logits: class logits (B, M, K).

        Returns:
            What to add to the logits of each query, (B, M, 1), never above 0.
        """
        own, label = logits.max(-1, keepdim=True)
        rival = logits.transpose(1, 2).gather(1, label.expand(-1, -1, logits.shape[1]))  # (B, M, M): j, as class of i
        lead = rival - own
        ahead = (self.SHARP * lead).tanh()
        iou, *shares = overlaps(boxes)
        pairs = torch.stack([iou, *shares, ahead, (2 * lead).tanh(), rival.sigmoid()], -1)
        start = self.START
        votes = start['overlap'] * (iou - start['threshold']) + start['ahead'] * (ahead - 1)
        votes = votes + self.reduce(F.relu(self.expand(pairs)))[..., 0]
        itself = torch.eye(votes.shape[-1], dtype=votes.dtype, device=votes.device)
        return -F.softplus((votes - 1e4 * itself).logsumexp(-1, keepdim=True))


def overlaps(boxes):
    """Return the IoU (B, M, M) of boxes (B, M, 4), (cx, cy, w, h), and the overlap's share of the first and second."""
    corners = bbox_cxcywh_to_xyxy(boxes)
    lower = torch.maximum(corners[:, :, None, :2], corners[:, None, :, :2])
    upper = torch.minimum(corners[:, :, None, 2:], corners[:, None, :, 2:])
    sides = (upper - lower).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    area = (boxes[..., 2] * boxes[..., 3]).clamp(min=1e-9)
    first, second = area[:, :, None], area[:, None]
    return shared / (first + second - shared), shared / first, shared / second
