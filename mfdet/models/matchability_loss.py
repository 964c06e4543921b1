"""Classification loss whose scores tell the quality of the box (DEIM, Huang et al., CVPR 2025)."""

import torch
import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from mmdet.registry import MODELS
from torch import nn


@MODELS.register_module()
class MatchabilityAwareLoss(nn.Module):
    """Matchability-aware loss (DEIM): the score of a matched class aims at IoU^γ, all others at 0.

    With p the score and t the target, it is −t·log p − (1 − t)·log(1 − p) for the class of a matched query and
    −p^γ·log(1 − p) for the rest. Unlike the varifocal loss, which it comes from, a matched query counts fully where its
    box is still bad, as most are at the start of a training.

    Args:
        gamma: exponent γ of the IoU and of the weight of what is not matched.
        loss_weight: factor of the loss.
    """

    use_sigmoid = True  # as mmdet's losses say it

    def __init__(self, gamma=1.5, loss_weight=1.0):
        super().__init__()
        self.gamma = gamma
        self.loss_weight = loss_weight

    def forward(self, pred, iou, weight=None, avg_factor=None, reduction_override=None):
        """Compute the loss.

        Args:
            pred: logits (..., K).
            iou: IoU of the box with its object in the column of the object's class, −1 where nothing is matched, of
                the shape of ``pred``.
            weight, avg_factor, reduction_override: as of mmdet's losses.

        Returns:
            A scalar, or a tensor of the shape of ``pred`` for the reduction 'none'.
        """
        target = iou.clamp(min=0) ** self.gamma
        weights = torch.where(iou >= 0, 1.0, pred.detach().sigmoid() ** self.gamma)
        loss = F.binary_cross_entropy_with_logits(pred, target, weights, reduction='none')
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction_override or 'mean', avg_factor)
