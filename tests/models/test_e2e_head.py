import pytest
import torch
from head_inputs import SMALL, make_feats, make_head, make_padded, make_plus_head, make_samples
from mmdet.models.dense_heads import DETRHead
from torch.utils._python_dispatch import TorchDispatchMode

from mfdet.errors import InputError
from mfdet.layers.up_conv import UpConv
from mfdet.models import MobileFormerHead
from mfdet.models.queries import Queries, grid_boxes

both_heads = pytest.mark.parametrize('make', [make_head, make_plus_head], ids=['paper', 'plus'])


@pytest.mark.parametrize(('make', 'columns'), [(make_head, 6), (make_plus_head, 5)], ids=['paper', 'plus'])
def test_shapes(make, columns):
    head = make().eval()
    logits, boxes = head(make_feats(64, 96))
    assert logits.shape == (1, 2, 12, columns)
    assert boxes.shape == (1, 2, 12, 4)
    all_logits, all_boxes = head(make_feats(64, 96), all_blocks=True)
    assert all_logits.shape == (4, 2, 12, columns)
    assert torch.equal(all_logits[-1:], logits)
    assert torch.equal(all_boxes[-1:], boxes)
    assert (boxes[..., 2:] > 0).all()
    if make is make_head:  # those of the other move freely; predict() clips them
        assert ((boxes > 0) & (boxes < 1)).all()


@pytest.mark.parametrize(('height', 'width'), [(33, 40), (72, 104), (1, 1), (8, 300)])
@both_heads
def test_any_size(make, height, width):
    logits, _ = make().eval()(make_feats(height, width))
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    'options',
    [
        dict(num_queries=1),
        dict(num_queries=7),
        dict(refine_positions=False),
        dict(spatial_aware_dyrelu=False),
        dict(former_cfg=dict(ffn_ratio=0)),
        dict(former_cfg=dict(token_mixer='mlp')),
        dict(num_blocks=[1, 1, 3]),
        dict(num_blocks=[2, 0, 1]),
        dict(num_blocks=[4], channels=[32], in_channels=[16]),
        dict(num_blocks=[1, 2], channels=[32, 16], in_channels=[12, 16]),
    ],
    ids=str,
)
def test_switches_train_every_parameter(options):
    head = make_head(**options).train()
    channels = options.get('in_channels', SMALL['in_channels'])
    losses = head.loss(make_feats(64, 96, channels=channels), make_samples([3, 2]))
    depth = sum(options.get('num_blocks', SMALL['num_blocks']))
    assert len(losses) == 3 * depth
    sum(losses.values()).backward()
    assert [name for name, parameter in head.named_parameters() if parameter.grad is None] == []


def test_position_refinement_is_switched_off():
    head = make_head(refine_positions=False)
    assert len(head.refine) == 0
    assert len(make_head().refine) == 4


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(query_dim=30), 'query_dim must be divisible by 4'),
        (dict(channels=[32, 20, 16]), 'channels must be divisible by 8'),
        (dict(num_blocks=[3]), 'one entry for each scale'),
        (dict(num_queries=0), 'num_queries and the sum of num_blocks must be at least 1'),
        (dict(num_blocks=[0, 0, 0]), 'num_queries and the sum of num_blocks must be at least 1'),
        (dict(num_blocks=[5, 2, 0]), 'last entry of num_blocks'),
        (dict(loss_cls=dict(type='FocalLoss')), 'a CrossEntropyLoss with softmax'),
        (dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)), 'a CrossEntropyLoss with softmax'),
        (dict(loss_cls=dict(type='CrossEntropyLoss', bg_cls_weight=0.2)), 'bg_cls_weight of the head'),
        (dict(expand_ratio=1.5), 'expand_ratio must be a whole number'),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(InputError, match=message):
        MobileFormerHead(**{**SMALL, **options})


@both_heads
def test_padding_changes_no_query(make):
    """The same maps alone and on the valid area of a larger, padded batch."""
    head = make().eval()
    alone, batch, valid = make_padded()
    with torch.no_grad():
        expected = head(alone, all_blocks=True)
        actual = head(batch, valid, all_blocks=True)
        unmasked = head(batch, all_blocks=True)
    for a, e, u in zip(actual, expected, unmasked, strict=True):
        torch.testing.assert_close(a[:, :1], e, atol=1e-4, rtol=1e-4)
        assert (u[:, :1] - e).abs().max() > 1e-2  # the mask is what makes them equal


def test_up_conv_cuts_to_odd_sizes_and_keeps_constants():
    up_conv = UpConv(3, 4, 5).eval()
    assert up_conv(torch.ones(1, 3, 4, 3), torch.ones(1, 4, 7, 5)).shape == (1, 5, 7, 5)
    torch.testing.assert_close(up_conv.upsample(torch.full((1, 1, 2, 3), 7.0)), torch.full((1, 1, 4, 6), 7.0))


@pytest.mark.parametrize('count', [1, 7, 25, 100, 300])
def test_grid_boxes_cover_the_image(count):
    boxes = grid_boxes(count)
    assert boxes.shape == (count, 4)
    assert len(boxes[:, :2].unique(dim=0)) == count
    torch.testing.assert_close(boxes[:, :2].mean(0), torch.tensor([0.5, 0.5]), atol=0.1, rtol=0)


@pytest.mark.parametrize('counts', [(3, 2), (0, 4), (0, 0), (1, 40)])
def test_losses_equal_those_of_mmdet(counts):
    head = make_head()
    feats = make_feats(64, 96)
    samples = make_samples(counts)
    with torch.no_grad():
        logits, boxes = head(feats, all_blocks=True)
        actual = head.loss(feats, samples)
        objects, metas = [s.gt_instances for s in samples], [s.metainfo for s in samples]
        loss_cls = dict(type='CrossEntropyLoss', bg_cls_weight=0.1, use_sigmoid=False, class_weight=1.0)
        expected = DETRHead(5, embed_dims=32, loss_cls=loss_cls).loss_by_feat(logits, boxes, objects, metas)
    assert set(actual) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_images_without_objects_still_reach_every_parameter():
    head = make_head().train()
    losses = head.loss(make_feats(64, 96), make_samples([0, 0]))
    sum(losses.values()).backward()
    assert [name for name, parameter in head.named_parameters() if parameter.grad is None] == []
    assert losses['loss_bbox'] == 0


def test_queries_start_by_attending_to_their_place():
    torch.manual_seed(0)
    head = MobileFormerHead(**{**SMALL, 'num_queries': 16})
    centres = grid_boxes(16)[:, :2]
    width, height = 200, 136
    extent = torch.tensor([[width, height]])
    for channels, stage, code, stride in zip(SMALL['channels'], head.stages, head.codes, (32, 16, 8), strict=True):
        attention = stage[0].mobile_to_former.attention
        rows, columns = -(-height // stride), -(-width // stride)
        position_code = code(torch.empty(1, channels, rows, columns), extent / stride)
        _, weights = attention(position_code, torch.zeros(1, 16, 32), head.query_positions[None])
        place = weights[0].mean(0).argmax(-1)
        found = torch.stack([place % columns + 0.5, place // columns + 0.5], -1) * stride / extent
        assert (found - centres).abs().max() < 0.2


def test_no_object_starts_at_even_odds():
    torch.manual_seed(0)
    head = MobileFormerHead(**SMALL).eval()
    with torch.no_grad():
        probability = head(make_feats(64, 96))[0].softmax(-1)[..., -1].mean()
    assert 0.2 < probability < 0.8


def test_boxes_start_on_their_references():
    torch.manual_seed(0)
    head = MobileFormerHead(**SMALL).eval()
    with torch.no_grad():
        _, boxes = head(make_feats(64, 96))
    torch.testing.assert_close(boxes[0, 0], grid_boxes(12))


def test_added_queries_change_nothing_for_the_first_group():
    head = make_head().eval()
    feats = make_feats(64, 96)
    with torch.no_grad():
        expected = head(feats, all_blocks=True)
        own = head.own_queries(2)
        more = Queries(
            torch.cat([own.features, torch.randn(2, 8, 32)], 1),
            torch.cat([own.positions, torch.randn(2, 8, 32)], 1),
            torch.cat([own.references, torch.randn(2, 8, 4)], 1),
            groups=(12, 8),
        )
        actual = head(feats, queries=more, all_blocks=True)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape[2] == 20
        torch.testing.assert_close(a[:, :, :12], e, atol=1e-5, rtol=1e-5)
    losses = head.loss(feats, make_samples([3, 2]), queries=more)
    assert torch.stack(list(losses.values())).isfinite().all()


def test_groups_must_sum_up_to_the_queries():
    own = make_head().own_queries(2)
    with pytest.raises(ValueError, match='groups must sum up to the 12 queries'):
        Queries(own.features, own.positions, own.references, groups=(8,))


class NoRead(TorchDispatchMode):
    """Fails on what would make the host wait for the device: reading a tensor, or a size that depends on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not {'_local_scalar_dense', 'nonzero', 'item', 'equal'} & set(func.__name__.split('.')), func
        return func(*args, **(kwargs or {}))


def test_the_loss_reads_nothing_back_but_the_costs():
    head = make_head().train()
    with NoRead():
        head.loss(make_feats(64, 96), make_samples([3, 2]))
    with pytest.raises(AssertionError, match='_local_scalar_dense'), NoRead():
        torch.ones(1).item()


def test_predictions_are_in_pixels_of_the_original_image():
    head = make_head().eval()
    samples = make_samples([1, 1])
    for sample in samples:
        sample.set_metainfo(dict(scale_factor=(2.0, 0.5), ori_shape=(128, 48)))
    with torch.no_grad():
        _, boxes = head(make_feats(64, 96))
        found = head.predict(make_feats(64, 96), samples)
    assert len(found) == 2
    assert found[0].scores.shape == (12,)
    assert (found[0].scores[:-1] >= found[0].scores[1:]).all()
    assert (found[0].labels < 5).all()
    limits = torch.tensor([48.0, 128.0, 48.0, 128.0])
    assert (found[0].bboxes <= limits).all()
    assert (found[0].bboxes >= 0).all()
    widths = (found[0].bboxes[:, 2] - found[0].bboxes[:, 0]).max()
    assert widths <= 48
    assert widths > 0.5 * boxes[0, 0, :, 2].max() * 48
