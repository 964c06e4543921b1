import pytest
import torch

from mfdet.models import MatchabilityAwareLoss


def test_definition():
    logits, iou = torch.tensor([[0.3, -1.0], [2.0, 0.5]]), torch.tensor([[0.6, -1.0], [-1.0, 0.0]])
    loss = MatchabilityAwareLoss(gamma=1.5)(logits, iou, reduction_override='none')
    p = logits.sigmoid()
    target = 0.6**1.5
    assert loss[0, 0] == pytest.approx((-target * p[0, 0].log() - (1 - target) * (1 - p[0, 0]).log()).item())
    assert loss[0, 1] == pytest.approx((-(p[0, 1] ** 1.5) * (1 - p[0, 1]).log()).item())
    assert loss[1, 0] == pytest.approx((-(p[1, 0] ** 1.5) * (1 - p[1, 0]).log()).item())
    assert loss[1, 1] == pytest.approx(-(1 - p[1, 1]).log().item())  # matched, but the box is off


def test_scores_settle_at_the_quality_of_the_box():
    logit = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([logit], 1.0)
    for _ in range(200):
        optimizer.zero_grad()
        MatchabilityAwareLoss(gamma=1.0, loss_weight=2.0)(logit, torch.tensor([0.7])).backward()
        optimizer.step()
    assert logit.sigmoid().item() == pytest.approx(0.7, abs=1e-3)


def test_reductions():
    logits, iou = torch.randn(3, 4), torch.full((3, 4), -1.0)
    loss = MatchabilityAwareLoss(loss_weight=2.0)
    each = loss(logits, iou, reduction_override='none')
    assert loss(logits, iou).item() == pytest.approx(each.mean().item())
    assert loss(logits, iou, avg_factor=5.0).item() == pytest.approx(each.sum().item() / 5, rel=1e-5)
