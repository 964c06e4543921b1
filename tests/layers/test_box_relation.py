import pytest
import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps

from mfdet.layers import BoxRelation
from mfdet.layers.box_relation import overlaps

BOXES = torch.tensor([[[0.3, 0.3, 0.2, 0.2], [0.31, 0.3, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2], [0.45, 0.3, 0.2, 0.2]]])


def test_overlaps_are_those_of_mmdet():
    corners = bbox_cxcywh_to_xyxy(BOXES)[0]
    iou, first, second = overlaps(BOXES)
    torch.testing.assert_close(iou[0], bbox_overlaps(corners, corners))
    torch.testing.assert_close(first[0], bbox_overlaps(corners, corners, mode='iof'))
    torch.testing.assert_close(second, first.transpose(1, 2))


def test_at_first_it_is_a_soft_suppression():
    logits = torch.tensor([[[-4.0, 2.0], [-4.0, 1.0], [-4.0, 0.0], [-4.0, -1.0]]])
    best, duplicate, alone, beside = BoxRelation()(BOXES, logits)[0, :, 0].tolist()
    assert duplicate < -3  # overlaps by 0.9 with a better one
    assert best > -0.1
    assert alone == pytest.approx(0, abs=0.01)
    assert -0.1 < beside < 0  # overlaps by 0.14


def test_of_two_that_score_nearly_alike_one_is_put_down():
    logits = torch.tensor([[[1.0, -9.0], [0.9, -9.0], [-9.0, -9.0], [-9.0, -9.0]]])
    best, duplicate = BoxRelation()(BOXES, logits)[0, :2, 0].tolist()
    assert duplicate < -3
    assert best > -0.1


def test_another_class_does_not_stand_in_the_way():
    logits = torch.tensor([[[3.0, -6.0], [-6.0, 3.0], [-6.0, -6.0], [-6.0, -6.0]]])
    assert BoxRelation()(BOXES, logits)[0, :2].min() > -0.1


def test_the_order_of_the_queries_does_not_matter_and_all_is_trained():
    torch.manual_seed(0)
    relation, order = BoxRelation(), torch.tensor([2, 0, 3, 1])
    torch.nn.init.normal_(relation.reduce.weight)
    boxes, logits = torch.rand(2, 4, 4), torch.randn(2, 4, 3, requires_grad=True)
    change = relation(boxes, logits)
    torch.testing.assert_close(relation(boxes[:, order], logits[:, order]), change[:, order])
    assert (change <= 0).all()
    change.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in relation.parameters())
    assert logits.grad.isfinite().all()


def test_a_single_query_and_boxes_without_area():
    relation = BoxRelation()
    assert relation(torch.full((1, 1, 4), 0.5), torch.zeros(1, 1, 3)).item() == 0
    assert relation(torch.zeros(1, 3, 4), torch.zeros(1, 3, 2)).isfinite().all()
