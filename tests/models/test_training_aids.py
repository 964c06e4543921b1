import pytest
import torch
from head_inputs import SMALL, make_aid, make_feats, make_head, make_plus_head, make_samples
from torch.utils._python_dispatch import TorchDispatchMode

from mfdet.models import MobileFormerHead
from mfdet.models.training_aids import AIDS, drop_aids, without_aids

AIDED = [
    (make_head, dict(denoising=dict(contrastive=True), query_groups=2)),
    (make_plus_head, dict(denoising={}, dense_aid=make_aid(num_classes=5, channels=16))),
]
aided_heads = pytest.mark.parametrize(('make', 'aids'), AIDED, ids=['paper', 'plus'])


def own_weights(head):
    """Return the weights of a head without those of its training aids."""
    named = without_aids({f'bbox_head.{name}': value for name, value in head.state_dict().items()})
    return {name.removeprefix('bbox_head.'): value for name, value in named.items()}


class Operations(TorchDispatchMode):
    """Notes what is computed: the graph that an export writes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.seen.append((str(func), tuple(getattr(result, 'shape', ()))))
        return result


def run(head, feats):
    with torch.no_grad(), Operations() as operations:
        return head(feats), operations.seen


def test_aids_are_left_out_of_configs_and_weights():
    aids = dict(dense_aid=dict(type='ATSSHead'), denoising=dict(), query_groups=3)
    assert tuple(aids) == AIDS
    model = dict(bbox_head=dict(type='MobileFormerPlusHead', **aids, num_queries=5))
    drop_aids(model)
    assert model == dict(bbox_head=dict(type='MobileFormerPlusHead', num_queries=5))
    drop_aids(dict(type='MobileFormerClassifier'))
    value = torch.zeros(1)
    own = ['bbox_head.fc_cls.bias', 'backbone.dense_aid', 'bbox_head.query_features']
    names = [f'bbox_head.{aid}.weight' for aid in AIDS]
    assert list(without_aids(dict.fromkeys(own + names, value))) == own


@aided_heads
def test_aids_change_nothing_of_what_is_run(make, aids):
    plain, aided = make().eval(), make(**aids).eval()
    weights = own_weights(aided)
    assert weights.keys() == plain.state_dict().keys() < aided.state_dict().keys()
    plain.load_state_dict(weights)
    feats = make_feats(64, 96)
    (found, first), (expected, second) = (run(head, feats) for head in (aided, plain))
    assert len(first) > 100
    assert first == second
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)
    # Nor after a step with them, nor in a model that goes on without them.
    aided.train()
    optimizer = torch.optim.SGD(aided.parameters(), 0.01)
    samples = make_samples([3, 2])
    for sample in samples:
        sample.set_metainfo(dict(pad_shape=sample.img_shape))
    losses = aided.loss(feats, samples)
    sum(sum(loss) if isinstance(loss, list) else loss for loss in losses.values()).backward()
    optimizer.step()
    aided.eval()
    plain.load_state_dict(own_weights(aided))
    for a, b in zip(plain(feats), aided(feats), strict=True):
        assert torch.equal(a, b)


def test_a_model_starts_with_the_same_weights_with_and_without_aids():
    heads = []
    for aids in ({}, AIDED[0][1]):
        torch.manual_seed(0)
        heads.append(MobileFormerHead(**SMALL, **aids))
    weights = own_weights(heads[1])
    assert [name for name, value in heads[0].state_dict().items() if not value.equal(weights[name])] == []
