import math

import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps

from mfdet.layers import duplicate_penalty
from mfdet.layers.duplicates import STEEPNESS, THRESHOLD, pairwise_iou

BOXES = torch.tensor([[[0.3, 0.3, 0.2, 0.2], [0.31, 0.3, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2], [0.45, 0.3, 0.2, 0.2]]])


def test_overlaps_are_those_of_mmdet():
    torch.manual_seed(0)
    boxes = torch.rand(2, 30, 4)
    boxes[..., 2:] += boxes[..., :2]
    boxes[0, 0, 2:] = boxes[0, 0, :2]  # empty
    boxes[0, 1] += 10  # apart from all others
    assert torch.equal(pairwise_iou(boxes), bbox_overlaps(boxes, boxes))


def test_a_duplicate_is_put_down_and_nothing_else():
    logits = torch.tensor([[[-4.0, 2.0], [-4.0, 1.0], [-4.0, 0.0], [-4.0, -1.0]]])
    best, duplicate, alone, beside = duplicate_penalty(BOXES, logits)[0, :, 0].tolist()
    iou = 0.19 / 0.21
    assert duplicate == pytest.approx(-math.log1p(math.exp(STEEPNESS * (iou - THRESHOLD))), rel=1e-3)
    assert duplicate < -3
    assert best == 0
    assert alone == pytest.approx(0, abs=1e-3)
    assert -0.01 < beside < 0  # overlaps by 0.14


def test_of_two_that_score_alike_one_is_put_down():
    for other in (1.0, 0.999):
        logits = torch.tensor([[[1.0, -9.0], [other, -9.0], [-9.0, -9.0], [-9.0, -9.0]]])
        best, duplicate = duplicate_penalty(BOXES, logits)[0, :2, 0].tolist()
        assert duplicate < -3
        assert best == 0


def test_another_class_does_not_stand_in_the_way():
    logits = torch.tensor([[[3.0, -6.0], [-6.0, 3.0], [-6.0, -6.0], [-6.0, -6.0]]])
    assert duplicate_penalty(BOXES, logits)[0, :2].min() == 0


def test_what_is_put_down_itself_does_not_put_down_others():
    boxes = torch.tensor([[[0.30, 0.3, 0.2, 0.2], [0.33, 0.3, 0.2, 0.2], [0.36, 0.3, 0.2, 0.2]]])  # in a row
    logits = torch.tensor([[[3.0], [2.0], [1.0]]])
    first, second, third = duplicate_penalty(boxes, logits)[0, :, 0].tolist()
    assert first == 0
    assert second < -1.2  # overlaps the first by 0.74
    alone = duplicate_penalty(boxes[:, 1:], logits[:, 1:])[0, 1, 0].item()
    assert alone == pytest.approx(second, rel=1e-3)  # so much the second would take of the third
    assert alone < third - 0.4


def test_the_order_of_the_queries_does_not_matter_and_no_gradient_flows():
    torch.manual_seed(0)
    order = torch.tensor([2, 0, 3, 1])
    boxes, logits = torch.rand(2, 4, 4), torch.randn(2, 4, 3, requires_grad=True)
    change = duplicate_penalty(boxes, logits)
    torch.testing.assert_close(duplicate_penalty(boxes[:, order], logits[:, order]), change[:, order])
    assert (change <= 0).all()
    assert not change.requires_grad


def test_a_single_query_and_boxes_without_area():
    assert duplicate_penalty(torch.full((1, 1, 4), 0.5), torch.zeros(1, 1, 3)).item() == 0
    assert duplicate_penalty(torch.zeros(1, 3, 4), torch.zeros(1, 3, 2)).isfinite().all()
