import pytest
import torch
from head_inputs import make_feats, make_head, make_plus_head, make_samples
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_xyxy_to_cxcywh
from mmengine.structures import InstanceData

from mfdet.errors import InputError
from mfdet.models.denoising import EDGE, Noise

SIGMOID = dict(type='MatchabilityAwareLoss')
SIZES = torch.tensor([[96.0, 64.0, 96.0, 64.0]] * 2)
both_heads = pytest.mark.parametrize('make', [make_head, make_plus_head], ids=['paper', 'plus'])


def make_objects(counts=(3, 1)):
    """Objects in the middle of their images, which noise does not carry over the edge."""
    generator = torch.Generator().manual_seed(1)
    objects = []
    for count, size in zip(counts, SIZES, strict=True):
        boxes = torch.tensor([0.4, 0.4, 0.1, 0.1]) + 0.2 * torch.rand(count, 4, generator=generator)
        labels = torch.randint(5, (count,), generator=generator)
        objects.append(InstanceData(bboxes=bbox_cxcywh_to_xyxy(boxes) * size, labels=labels))
    return objects


def taken(noised, objects):
    """Return the true boxes, normalised, and labels of the positives."""
    truth = torch.cat([bbox_xyxy_to_cxcywh(item.bboxes) for item in objects]) / SIZES[0]
    return truth[noised.target], torch.cat([item.labels for item in objects])[noised.target]


def shares(noised, truth, image, query):
    """Return by how much of half a box the centres moved, and by how much of a box the sizes changed, (P, 4)."""
    boxes = noised.boxes[image, query]
    return torch.cat([(boxes - truth)[:, :2] / (truth[:, 2:] / 2), boxes[:, 2:] / truth[:, 2:] - 1], 1)


@pytest.mark.parametrize('scale', [0.1, 0.4, 1.0])
def test_noise_of_boxes_is_that_of_the_paper(scale):
    torch.manual_seed(0)
    objects = make_objects()
    noised = Noise(5, box_noise_scale=scale, max_queries=3000)(objects, SIZES)
    truth, _ = taken(noised, objects)
    moved = shares(noised, truth, noised.image, noised.query)
    assert len(moved) == 4000
    assert moved.abs().max() < scale + 1e-5
    for column in moved.T:  # even over the whole range
        assert column.abs().max() > 0.98 * scale
        assert column.mean().abs() < 0.05 * scale
        torch.testing.assert_close(column.var(), torch.tensor(scale**2 / 3), rtol=0.05, atol=0)


def test_noise_of_negatives_begins_where_that_of_positives_ends():
    torch.manual_seed(0)
    objects = make_objects((2, 2))
    noised = Noise(5, box_noise_scale=0.4, contrastive=True, max_queries=2000)(objects, SIZES)
    truth, _ = taken(noised, objects)
    count = len(truth)
    assert len(noised.image) == 2 * count == 4000
    positive = shares(noised, truth, noised.image[:count], noised.query[:count]).abs()
    negative = shares(noised, truth, noised.image[count:], noised.query[count:]).abs()  # in the order of the others
    assert positive.max() < 0.4 + 1e-5
    assert positive.min() < 0.01
    assert negative.min() > 0.4 - 1e-5
    assert 0.79 < negative.max() < 0.8 + 1e-5


@pytest.mark.parametrize(('classes', 'share'), [(1, 0.5), (3, 0.0), (3, 0.3), (2, 1.0)])
def test_labels_become_others_as_often_as_said(classes, share):
    torch.manual_seed(0)
    labels = torch.randint(classes, (20000,))
    noised = Noise(classes, label_noise=share).labels(labels)
    assert 0 <= noised.min() <= noised.max() < classes
    expected = 0 if classes == 1 else share
    assert (noised != labels).float().mean().item() == pytest.approx(expected, abs=0.02)
    if classes == 3 and share:  # each of the others as often
        steps = ((noised - labels) % 3).bincount(minlength=3)[1:]
        assert steps.max() < 1.1 * steps.min()


@pytest.mark.parametrize(
    ('counts', 'contrastive', 'most', 'groups'),
    [
        ((3, 1), False, 10, (3, 3, 3)),
        ((3, 1), True, 10, (6,)),
        ((3, 1), True, 12, (6, 6)),
        ((7, 40), False, 10, (10,)),
        ((7, 40), True, 11, (10,)),
        ((0, 0), False, 4, (1, 1, 1, 1)),
    ],
)
def test_groups_are_as_many_as_fit(counts, contrastive, most, groups):
    objects = make_objects(counts)
    noised = Noise(5, max_queries=most, contrastive=contrastive)(objects, SIZES)
    assert noised.groups == groups
    assert noised.boxes.shape == (2, sum(groups), 4)
    kept = [min(count, most // (1 + contrastive)) for count in counts]
    assert noised.real.sum(1).tolist() == [len(groups) * (1 + contrastive) * count for count in kept]
    offset = 0
    for image, (count, some) in enumerate(zip(counts, kept, strict=True)):
        mine = noised.target[noised.image[: len(noised.target)] == image]
        assert len(mine) == len(groups) * some
        assert len(mine.unique()) == some  # drawn without repetition, the same for all groups
        assert ((offset <= mine) & (mine < offset + count)).all()
        offset += count
    assert noised.real[noised.image, noised.query].all()
    assert len(noised.image) == noised.real.sum()


def test_boxes_at_the_edge_have_finite_logits():
    whole = InstanceData(bboxes=torch.tensor([[0.0, 0, 96, 64], [95.99, 63.99, 96, 64]]), labels=torch.zeros(2).long())
    noised = Noise(1, box_noise_scale=1.0, max_queries=500)([whole, whole], SIZES)
    assert noised.boxes.min() >= EDGE
    assert noised.boxes.max() <= 1 - EDGE
    assert noised.boxes.logit().isfinite().all()


def test_nothing_attends_to_padding_or_to_another_group():
    noised = Noise(5, max_queries=4)(make_objects((2, 1)), SIZES)
    assert noised.groups == (2, 2)
    mask = noised.attention((3,))[:, 0]
    own, full, padded = torch.ones(3, 3), torch.ones(2, 2), torch.ones(2, 2).tril()  # padding, last, may look
    assert torch.equal(mask[0], torch.block_diag(own, full, full).bool())
    assert torch.equal(mask[1], torch.block_diag(own, padded, padded).bool())


def predictions(head, samples):
    """Return what the loss is computed of in training: class logits and boxes of the model's own queries."""
    seen, count = [], head.num_queries
    before = head.loss_by_feat

    def spy(logits, boxes, *args, **kwargs):
        seen.extend([logits[:, :, :count], boxes[:, :, :count]])
        return before(logits, boxes, *args, **kwargs)

    head.loss_by_feat = spy
    losses = head.loss(make_feats(64, 96), samples)
    return seen, losses


def trained(make, weights=None, **options):
    """Return a head as in training, but for the statistics of BatchNorm."""
    head = make(**options).train()
    head.load_state_dict(weights or {}, strict=False)
    for module in head.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return head


@both_heads
def test_the_models_own_queries_see_nothing_of_the_truth(make):
    alone = trained(make)
    expected, without = predictions(alone, make_samples([3, 2]))
    options = dict(denoising={}) if make is make_plus_head else dict(denoising=dict(contrastive=True), query_groups=2)
    for counts in ([3, 2], [1, 7], [0, 0]):
        actual, losses = predictions(trained(make, alone.state_dict(), **options), make_samples(counts))
        for a, e in zip(actual, expected, strict=True):
            torch.testing.assert_close(a, e, atol=2e-6, rtol=1e-5)
        assert any(name.startswith('dn.') for name in losses)
    assert not any(name.startswith('dn.') for name in without)


def test_losses_are_those_of_all_but_padding():
    head = make_head(denoising=dict(contrastive=True, max_queries=8)).eval()
    objects = [sample.gt_instances for sample in make_samples([2, 1])]
    queries, noised = head.denoising(head.own_queries(2), objects, SIZES)
    assert noised.groups == (4, 4)
    logits, boxes = (x[:, :, 12:].detach().requires_grad_() for x in head(make_feats(64, 96), None, queries, True))
    losses = head.denoising.noise.losses(head.loss_of_pairs, logits, boxes, objects, SIZES, noised)
    # By hand: a group of image 0 is object 0, object 1, their negatives; one of image 1 an object, padding and so on.
    real = torch.tensor([[True] * 8, [True, False] * 4])
    assert torch.equal(noised.real, real)
    order = noised.target[noised.image[:6] == 0][:2]
    classes = torch.full((2, 8), 5)
    labels = torch.cat([item.labels for item in objects])
    classes[0, [0, 1, 4, 5]] = labels[order].repeat(2)
    classes[1, [0, 4]] = labels[2]
    weight = torch.where(classes == 5, 0.1, 1.0) * real
    truth = bbox_xyxy_to_cxcywh(torch.cat([item.bboxes for item in objects])) / SIZES[0]
    aims = torch.zeros(2, 8, 4)
    aims[0, [0, 1, 4, 5]] = truth[order].repeat(2, 1)
    aims[1, [0, 4]] = truth[2]
    for i, prefix in enumerate(('dn.d0.', 'dn.d1.', 'dn.d2.', 'dn.')):
        entropy = -logits[i].log_softmax(-1).gather(-1, classes[..., None])[..., 0]
        torch.testing.assert_close(losses[f'{prefix}loss_cls'], (weight * entropy).sum() / weight.sum())
        distance = (boxes[i] - aims).abs().sum(-1) * (classes < 5)
        torch.testing.assert_close(losses[f'{prefix}loss_bbox'], 5 * distance.sum() / 6)
    sum(losses.values()).backward()
    for x in (logits, boxes):
        assert x.grad[:, ~real].abs().max() == 0
        assert (x.grad[:, real].abs().amax((0, 2)) > 0).sum() >= 6


@pytest.mark.parametrize('counts', [(0, 0), (0, 4), (3, 30)])
@pytest.mark.parametrize(
    'options',
    [
        dict(denoising={}),
        dict(denoising=dict(contrastive=True), num_classes=1),
        dict(denoising=dict(max_queries=20), loss_cls=SIGMOID, num_classes=1),
        dict(denoising=dict(contrastive=True), loss_cls=SIGMOID, query_groups=3),
    ],
    ids=str,
)
def test_every_parameter_has_a_gradient(options, counts):
    head = make_head(**options).train()
    samples = make_samples(counts)
    if options.get('num_classes') == 1:
        for sample in samples:
            sample.gt_instances.labels.zero_()
    losses = head.loss(make_feats(64, 96), samples)
    assert len(losses) == 2 * 3 * 4
    assert all(loss.isfinite() for loss in losses.values())
    if not sum(counts):
        assert [name for name, loss in losses.items() if name.startswith('dn.') and loss] == []
    sum(losses.values()).backward()
    assert [name for name, parameter in head.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize('counts', [(3, 2), (0, 0), (0, 4)])
def test_the_other_head_learns_boxes_alone(counts):
    head = make_plus_head(denoising=dict(max_queries=20), rescore=False).train()
    losses = head.loss(make_feats(64, 96), make_samples(counts))
    names = {name for name in losses if name.startswith('dn.')}
    assert names == {f'dn.{block}loss_{kind}' for block in ('d0.', 'd1.', 'd2.', '') for kind in ('bbox', 'iou')}
    sum(losses.values()).backward()
    assert [name for name, parameter in head.named_parameters() if parameter.grad is None] == []
    assert make_plus_head().state_dict().keys() == make_plus_head(denoising={}).state_dict().keys()


def test_a_weight_multiplies_the_losses():
    found = []
    for weight in (1.0, 0.25):
        head = make_head(denoising=dict(weight=weight)).train()
        torch.manual_seed(1)
        found.append(head.loss(make_feats(64, 96), make_samples([3, 2])))
    for name, loss in found[0].items():
        torch.testing.assert_close(found[1][name], loss * (0.25 if name.startswith('dn.') else 1))


@both_heads
@pytest.mark.parametrize(
    ('denoising', 'message'),
    [
        (True, 'denoising must be a dict with any of box_noise_scale,'),
        (dict(noise=1), 'denoising must be a dict with any of box_noise_scale,'),
        (dict(box_noise_scale=0), 'box_noise_scale must be above 0 and at most 1, got 0'),
        (dict(box_noise_scale='big'), 'box_noise_scale must be above 0'),
        (dict(max_queries=0), 'max_queries must be a whole number of at least 1, got 0'),
        (dict(weight=-1.0), 'weight must be a number above 0, got -1.0'),
        (dict(weight=float('nan')), 'weight must be a number above 0, got nan'),
    ],
    ids=str,
)
def test_wrong_options(make, denoising, message):
    with pytest.raises(InputError, match=message):
        make(denoising=denoising)


@pytest.mark.parametrize(
    ('denoising', 'message'),
    [
        (dict(contrastive=True, box_noise_scale=0.6), 'at most 0.5 with contrastive negatives, got 0.6'),
        (dict(contrastive='yes'), "contrastive must be True or False, got 'yes'"),
        (dict(label_noise=1.5), 'label_noise must be from 0 to 1, got 1.5'),
        (dict(contrastive=True, max_queries=1), 'max_queries must be a whole number of at least 2, got 1'),
    ],
    ids=str,
)
def test_wrong_options_of_scores(denoising, message):
    with pytest.raises(InputError, match=message):
        make_head(denoising=denoising)
    with pytest.raises(InputError, match='denoising must be a dict with any of'):
        make_plus_head(denoising=denoising)
