import pytest
import torch
from head_inputs import make_feats, make_head, make_plus_head, make_samples

from mfdet.errors import InputError
from mfdet.models.queries import group_mask


def test_groups_attend_to_themselves_alone():
    expected = torch.block_diag(torch.ones(2, 2), torch.ones(1, 1), torch.ones(3, 3)).bool()
    assert torch.equal(group_mask((2, 1, 3), 'cpu'), expected)


def test_each_group_of_queries_is_matched_by_itself():
    head = make_head(query_groups=3)
    own = head.own_queries(2)
    queries = head.query_groups(own)
    assert queries.groups == (12, 12, 12)
    assert torch.equal(queries.references[:, :12], own.references)
    parts = queries.features.split(12, 1)
    assert not torch.allclose(parts[0], parts[1])
    assert not torch.allclose(parts[1], parts[2])
    objects = [sample.gt_instances for sample in make_samples([3, 2])]
    sizes = torch.tensor([[96.0, 64.0, 96.0, 64.0]] * 2)
    with torch.no_grad():
        logits, boxes = head(make_feats(64, 96), queries=queries)
    _, image, query, target = head.matcher(logits, boxes, objects, sizes, queries.groups)
    for group in range(3):
        mine = query // 12 == group
        assert sorted(target[mine].tolist()) == [0, 1, 2, 3, 4]
        assert image[mine].bincount().tolist() == [3, 2]


def test_losses_are_means_over_the_groups():
    head = make_head(query_groups=2)
    feats, samples = make_feats(64, 96), make_samples([3, 2])
    alone = make_head()
    alone.load_state_dict({n: v for n, v in head.state_dict().items() if not n.startswith('query_groups.')})
    with torch.no_grad():
        for mine, own in zip(
            (head.query_groups.features, head.query_groups.positions, head.query_groups.references),
            (head.query_features, head.query_positions, head.query_references),
            strict=True,
        ):
            mine.copy_(own)
        for module in (head, alone):
            module.eval()
        for (name, loss), expected in zip(
            head.loss(feats, samples).items(), alone.loss(feats, samples).values(), strict=True
        ):
            torch.testing.assert_close(loss, expected, msg=name)


@pytest.mark.parametrize('groups', [0, -1, 2.5, 'two'])
def test_wrong_number_of_groups(groups):
    with pytest.raises(InputError, match='query_groups must be a whole number of at least 1, got'):
        make_head(query_groups=groups)


def test_groups_do_not_fit_proposed_queries_or_a_fixed_number():
    with pytest.raises(InputError, match='query_groups: the queries here are cells of the maps'):
        make_plus_head(query_groups=2)
    for aid in (dict(query_groups=2), dict(denoising={})):
        with pytest.raises(InputError, match="token_mixer='mlp' mixes a fixed number of queries"):
            make_head(former_cfg=dict(token_mixer='mlp'), **aid)
