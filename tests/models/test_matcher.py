import numpy as np
import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmengine.structures import InstanceData

from mfdet.errors import InputError
from mfdet.models.matcher import HungarianMatcher

SIZES = torch.tensor([[133.0, 80.0] * 2, [64.0, 96.0] * 2, [40.0, 40.0] * 2])


def make_objects(counts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    objects = []
    for count, size in zip(counts, SIZES, strict=False):
        corners = torch.rand(count, 2, 2, generator=generator).sort(1).values.flatten(1)
        labels = torch.randint(5, (count,), generator=generator)
        objects.append(InstanceData(bboxes=corners * size, labels=labels))
    return objects


def make_predictions(blocks, images, queries, seed=1):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(blocks, images, queries, 6, generator=generator)
    return logits, torch.rand(blocks, images, queries, 4, generator=generator)


@pytest.mark.parametrize('counts', [(3, 0, 7), (1, 1, 1), (12, 30, 2)])
def test_same_assignments_as_mmdet(counts):
    assigner = TASK_UTILS.build(
        dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=1.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ],
        )
    )
    objects = make_objects(counts)
    logits, boxes = make_predictions(4, 3, 20)
    block, image, query, target = HungarianMatcher()(logits, boxes, objects, SIZES)
    assert len(block) == 4 * sum(min(count, 20) for count in counts)
    offset = 0
    for i, item in enumerate(objects):
        for layer in range(4):
            predicted = InstanceData(scores=logits[layer, i], bboxes=bbox_cxcywh_to_xyxy(boxes[layer, i]) * SIZES[i])
            width, height = SIZES[i, :2].tolist()
            expected = assigner.assign(predicted, item, img_meta=dict(img_shape=(height, width))).gt_inds
            here = (block == layer) & (image == i)
            actual = torch.zeros(20, dtype=torch.long)
            actual[query[here]] = target[here] - offset + 1
            assert torch.equal(actual, expected)
        offset += len(item)


def test_no_objects_at_all():
    block, *_ = HungarianMatcher()(*make_predictions(2, 3, 20), make_objects((0, 0, 0)), SIZES)
    assert block.shape == (0,)
    assert block.dtype == torch.long


def test_more_objects_than_queries():
    block, _, query, target = HungarianMatcher()(*make_predictions(1, 1, 10), make_objects((130,)), SIZES[:1])
    assert len(block) == 10
    assert len(target.unique()) == 10
    assert sorted(query.tolist()) == list(range(10))


def test_one_pixel_boxes_are_matched_to_the_nearest_prediction():
    objects = [InstanceData(bboxes=torch.tensor([[10.0, 10, 11, 11], [30.0, 30, 31, 31]]), labels=torch.tensor([0, 0]))]
    boxes = torch.tensor([[30.5, 30.5, 1, 1], [20, 20, 1, 1], [10.5, 10.5, 1, 1]])[None, None] / 40
    _, _, query, target = HungarianMatcher()(torch.zeros(1, 1, 3, 6), boxes, objects, SIZES[2:])
    assert dict(zip(target.tolist(), query.tolist(), strict=True)) == {0: 2, 1: 0}


def test_each_group_is_matched_by_itself():
    objects = make_objects((3, 2))
    logits, boxes = make_predictions(2, 2, 30)
    matcher = HungarianMatcher()
    grouped = torch.stack(matcher(logits, boxes, objects, SIZES[:2], groups=(20, 10)))
    first = torch.stack(matcher(logits[:, :, :20], boxes[:, :, :20], objects, SIZES[:2]))
    second = torch.stack(matcher(logits[:, :, 20:], boxes[:, :, 20:], objects, SIZES[:2]))
    second[2] += 20
    expected = torch.cat([first, second], dim=1).T.tolist()
    assert sorted(grouped.T.tolist()) == sorted(expected)


def test_costs_reach_the_host_in_one_transfer(monkeypatch):
    transfers = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda self: transfers.append(tuple(self.shape)) or cpu(self))
    HungarianMatcher()(*make_predictions(9, 3, 20), make_objects((3, 0, 7)), SIZES)
    assert transfers == [(9, 3, 20, 7)]


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_prediction_that_is_not_finite_names_image_and_block(value):
    logits, boxes = make_predictions(3, 2, 20)
    boxes[1, 1, 4, 2] = value
    with pytest.raises(InputError, match=r'image cells/b\.jpg: the predictions of head block 2 are not finite'):
        HungarianMatcher()(logits, boxes, make_objects((3, 2)), SIZES[:2], names=['cells/a.jpg', 'cells/b.jpg'])


def test_annotated_box_that_is_not_finite_names_the_image():
    objects = make_objects((3, 2))
    objects[0].bboxes[1, 0] = np.nan
    with pytest.raises(InputError, match=r'image cells/a\.jpg: an annotated box is not finite'):
        HungarianMatcher()(*make_predictions(3, 2, 20), objects, SIZES[:2], names=['cells/a.jpg', 'cells/b.jpg'])


def test_sigmoid_class_costs_are_those_of_mmdet():
    logits, _ = make_predictions(1, 1, 7)
    labels = torch.tensor([3, 0, 5])
    cost = TASK_UTILS.build(dict(type='FocalLossCost', weight=1.0))
    expected = cost(InstanceData(scores=logits[0, 0]), InstanceData(labels=labels))
    actual = HungarianMatcher(use_sigmoid=True).class_costs(logits)[0, 0][:, labels]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
