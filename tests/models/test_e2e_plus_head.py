import pytest
import torch
import torch.nn.functional as F
from head_inputs import SMALL_PLUS, make_aid, make_feats, make_padded, make_plus_head, make_samples
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps

from mfdet.errors import InputError
from mfdet.layers import duplicate_penalty
from mfdet.layers.scales import scales_of
from mfdet.models import MobileFormerPlusHead

AID = make_aid(num_classes=5, channels=16)


@pytest.mark.parametrize('counts', [(3, 2), (0, 0)])
@pytest.mark.parametrize(
    'options',
    [{}, dict(dense_aid=AID), dict(num_blocks=[2, 0, 1]), dict(rescore=False)],
    ids=['plain', 'aid', 'gap', 'no-rescoring'],
)
def test_every_parameter_is_trained(options, counts):
    head = make_plus_head(**options).train()
    samples = make_samples(counts)
    for sample in samples:
        sample.set_metainfo(dict(pad_shape=sample.img_shape))
    losses = head.loss(make_feats(64, 96), samples)
    depth = sum(options.get('num_blocks', SMALL_PLUS['num_blocks']))
    own = [name for name in losses if not name.startswith('dense.')]
    of_block = 2 if options.get('rescore') is False else 3
    assert len(own) == of_block * depth + 2  # the blocks and the cells
    sum(sum(loss) if isinstance(loss, list) else loss for loss in losses.values()).backward()
    assert [name for name, parameter in head.named_parameters() if parameter.grad is None] == []


def test_the_aid_changes_nothing_of_what_is_found():
    plain, aided = make_plus_head().eval(), make_plus_head(dense_aid=AID).eval()
    weights = {name: value for name, value in aided.state_dict().items() if not name.startswith('dense_aid.')}
    plain.load_state_dict(weights)
    for a, b in zip(plain(make_feats(64, 96)), aided(make_feats(64, 96)), strict=True):
        assert torch.equal(a, b)


def test_boxes_start_on_those_of_the_cells_and_are_refined_from_block_to_block():
    torch.manual_seed(0)
    head = MobileFormerPlusHead(**SMALL_PLUS).eval()
    feats = make_feats(64, 96)
    with torch.no_grad():
        _, boxes = head(feats, all_blocks=True)
        for block in boxes[1:]:
            torch.testing.assert_close(block, boxes[0])  # the last layer starts at zero: no step
        head.fc_reg[-1].bias += torch.tensor([0.1, 0.0, 0.0, 0.0])
        moved = head(feats, all_blocks=True)[1]
    assert (moved[1:, ..., 0] > moved[:-1, ..., 0]).all()


def test_the_last_block_alone_is_what_all_of_them_end_with():
    head = make_plus_head().eval()
    with torch.no_grad():
        head.fc_reg[-1].bias += torch.tensor([0.1, 0.0, 0.0, 0.0])  # so that the blocks differ
        every, last = head(make_feats(64, 96), all_blocks=True), head(make_feats(64, 96))
    for a, b in zip(every, last, strict=True):
        assert b.shape == (1, *a.shape[1:])
        assert torch.equal(a[-1:], b)
    assert not torch.equal(every[1][0], every[1][-1])


def test_padding_changes_no_query_of_an_image_with_fewer_cells_than_queries():
    head = make_plus_head(num_queries=40).eval()
    alone = make_feats(32, 40, batch=1)
    batch, valid = [], torch.zeros(1, 1, 12, 8, dtype=torch.bool)
    valid[..., :4, :5] = True
    for feat, stride in zip(alone, (8, 16, 32), strict=True):
        padded = torch.full((1, feat.shape[1], 96 // stride, 64 // stride), 7.0)
        padded[..., : feat.shape[2], : feat.shape[3]] = feat
        batch.append(padded)
    with torch.no_grad():
        for a, e in zip(head(tuple(batch), valid), head(alone), strict=True):
            torch.testing.assert_close(a.sort(2).values, e.sort(2).values, atol=1e-4, rtol=1e-4)


def test_scores_start_as_those_of_the_cells_with_duplicates_put_down():
    torch.manual_seed(0)
    head = MobileFormerPlusHead(**SMALL_PLUS).eval()
    feats = make_feats(64, 96)
    scales = scales_of(feats, None)
    with torch.no_grad():
        _, cells = head.selection.cells(scales)
        _, starts, of_cells = head.selection(cells)
        logits, boxes = head(feats, all_blocks=True)
    for block in logits:
        torch.testing.assert_close(block, of_cells + duplicate_penalty(starts, of_cells))
    torch.testing.assert_close(boxes[0], starts)
    assert (logits[0] < of_cells).any()
    assert logits.sigmoid().mean() < 0.1


def test_without_rescoring_the_scores_are_those_of_the_cells_less_duplicates():
    head = make_plus_head(rescore=False).eval()
    assert not any(name.startswith('fc_cls.') for name in head.state_dict())
    feats = make_feats(64, 96)
    with torch.no_grad():
        _, _, of_cells = head.selection(head.selection.cells(scales_of(feats, None))[1])
        logits, boxes = head(feats, all_blocks=True)
    for scores, places in zip(logits, boxes, strict=True):
        torch.testing.assert_close(scores, of_cells + duplicate_penalty(places, of_cells))


def test_losses_of_the_cells_are_those_of_mmdet():
    head = make_plus_head(cells_weight=2.0).train()
    scales = scales_of(make_feats(64, 96), None)
    _, cells = head.selection.cells(scales)
    objects = [sample.gt_instances for sample in make_samples((3, 2))]
    sizes = torch.tensor([[96.0, 64.0, 96.0, 64.0]] * 2)
    losses = head.loss_of_cells(cells, objects, sizes)
    image, cell, target = head.selection.assign(cells, objects, sizes)
    assert len(cell) > 5
    truth = torch.cat([item.bboxes for item in objects])[target]
    found = bbox_cxcywh_to_xyxy(cells.boxes[image, cell]) * sizes[image]
    giou = 1 - bbox_overlaps(found, truth, mode='giou', is_aligned=True)
    torch.testing.assert_close(losses['cells.loss_iou'], 2 * 2 * giou.mean())
    aims = torch.zeros_like(cells.logits)
    aims[image, cell, torch.cat([item.labels for item in objects])[target]] = bbox_overlaps(
        found, truth, is_aligned=True
    )
    aims = aims.detach()
    entropy = F.binary_cross_entropy_with_logits(cells.logits, aims, reduction='none')
    focal = (entropy * (aims - cells.logits.sigmoid()).square()).sum() / len(cell)
    torch.testing.assert_close(losses['cells.loss_cls'], 2 * focal)


def test_it_learns_one_image():
    torch.manual_seed(0)
    head = MobileFormerPlusHead(**SMALL_PLUS).train()
    feats, samples = make_feats(64, 96, batch=1), make_samples([3])
    optimizer = torch.optim.AdamW(head.parameters(), 3e-3)
    for _ in range(120):
        losses = head.loss(feats, samples)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    samples[0].set_metainfo(dict(scale_factor=(1.0, 1.0), ori_shape=(64, 96)))
    with torch.no_grad():
        found = head.predict(feats, samples)[0]
    truth = samples[0].gt_instances
    best = found[:3]
    order = (best.bboxes[:, None] - truth.bboxes).abs().sum(-1).argmin(0)
    assert order.sort().values.tolist() == [0, 1, 2]  # each object once, before all others
    assert torch.equal(best.labels[order], truth.labels)
    assert (best.bboxes[order] - truth.bboxes).abs().max() < 8


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(refine_positions=True), 'refine_positions: positions follow the boxes'),
        (dict(loss_cls=dict(type='CrossEntropyLoss')), 'must be a MatchabilityAwareLoss here'),
        (dict(query_dim=30), 'query_dim must be divisible by 4'),
        (dict(boxes_per_cell=0), 'boxes_per_cell must be at least 1 and cell_size above 0, got 0 and 2'),
        (dict(cell_size=0.0), 'boxes_per_cell must be at least 1 and cell_size above 0, got 3 and 0'),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(InputError, match=message):
        MobileFormerPlusHead(**{**SMALL_PLUS, **options})


def test_it_is_traced_for_batches_of_any_size():
    head = make_plus_head().eval()
    _, feats, valid = make_padded()
    batch = torch.export.Dim('batch', min=1, max=64)
    shapes = (tuple({0: batch} for _ in feats), {0: batch})
    program = torch.export.export(head, (feats, valid), dynamic_shapes=shapes)  # raises if the batch were a constant
    more = tuple(torch.cat([x, x[:1]]) for x in feats), torch.cat([valid, valid[:1]])
    with torch.no_grad():
        for traced, expected in zip(program.module()(*more), head(*more), strict=True):
            torch.testing.assert_close(traced, expected)
