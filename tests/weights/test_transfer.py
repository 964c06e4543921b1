import pytest
import torch

from mfdet.errors import InputError
from mfdet.weights.transfer import transfer


def layer(name, rows, start):
    """Weight (rows, 2) and bias of a layer; each number tells its row, counted from ``start``."""
    numbers = torch.arange(start, start + rows, dtype=torch.float)
    return {f'{name}.weight': numbers[:, None].repeat(1, 2), f'{name}.bias': numbers}


def rows(result, name):
    return result.weights[f'{name}.bias'].tolist()


def test_class_rows_follow_the_names_within_each_anchor():
    name = 'bbox_head.retina_cls'
    before, fresh = layer(name, 2 * 3, 0), layer(name, 2 * 2, 100)
    result = transfer(before, fresh, ['cat', 'dog', 'Cat'], ['Cat', 'cow'], 'a.pth')
    assert rows(result, name) == [2, 101, 5, 103]  # spelt as written: 'Cat' is not 'cat'
    assert result.weights[f'{name}.weight'][:, 1].tolist() == [2, 101, 5, 103]
    assert (result.known, result.fresh) == (['Cat'], ['cow'])
    assert (result.loaded, result.total) == (6, 12)
    assert str(result) == (
        '6 of 12 weights are taken over; it knew Cat; the class layer starts anew for cow, which the checkpoint has not'
    )


@pytest.mark.parametrize(('extra', 'expected'), [(0, [1, 101]), (1, [1, 101, 2])])
def test_no_object_stays_last(extra, expected):
    name = 'bbox_head.fc_cls'
    result = transfer(layer(name, 2 + extra, 0), layer(name, 2 + extra, 100), ['a', 'b'], ['b', 'c'], 'a.pth')
    assert rows(result, name) == expected


def test_background_stays_last_within_each_anchor():
    name = 'bbox_head.cls_convs.0.1'
    result = transfer(layer(name, 2 * 3, 0), layer(name, 2 * 4, 100), ['a', 'b'], ['b', 'c', 'd'], 'a.pth')
    assert rows(result, name) == [1, 101, 102, 2, 4, 105, 106, 5]
    tower = 'bbox_head.cls_convs.0.0.conv'  # has no rows of classes
    before = layer(tower, 6, 0)
    assert rows(transfer(before, layer(tower, 6, 100), ['a', 'b'], ['b', 'a'], 'a.pth'), tower) == [0, 1, 2, 3, 4, 5]


def test_the_same_classes_in_another_order_change_places():
    name = 'bbox_head.selection.classify'
    result = transfer(layer(name, 3, 0), layer(name, 3, 100), ['a', 'b', 'c'], ['c', 'a', 'b'], 'a.pth')
    assert rows(result, name) == [2, 0, 1]
    assert result.loaded == result.total


def test_without_names_no_class_is_known():
    name = 'bbox_head.retina_cls'
    result = transfer(layer(name, 6, 0), layer(name, 4, 100), None, ['a', 'b'], 'a.pth')
    assert rows(result, name) == [100, 101, 102, 103]
    assert 'starts anew for a, b, as the checkpoint names no classes' in str(result)


def test_a_class_that_is_named_twice_is_refused():
    name = 'bbox_head.selection.classify'
    with pytest.raises(InputError, match=r"a\.pth: it names the class 'b' twice"):
        transfer(layer(name, 3, 0), layer(name, 2, 0), ['a', 'b', 'b'], ['a', 'b'], 'a.pth')


@pytest.mark.parametrize(('before', 'expected'), [(2, [0, 1, 102, 103]), (5, [0, 1, 2, 3])])
def test_queries_are_taken_in_order_as_far_as_they_go(before, expected):
    name = 'bbox_head.query_features'
    weights, fresh = (
        {name: torch.arange(start, start + count)[:, None].float()} for start, count in ((0, before), (100, 4))
    )
    result = transfer(weights, fresh, ['a'], ['a'], 'a.pth')
    assert result.weights[name][:, 0].tolist() == expected
    assert ('2 of 4 queries start anew' in str(result)) == (before == 2)


def test_what_is_fresh_is_not_written_into():
    name = 'bbox_head.fc_cls'
    fresh = layer(name, 2, 100)
    transfer(layer(name, 2, 0), fresh, ['a', 'b'], ['b', 'c'], 'a.pth')
    assert fresh[f'{name}.bias'].tolist() == [100, 101]


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (dict(stem=torch.ones(3)), r"first entry that differs is 'stem': it is \(3,\) of torch.float32, here \(2,\)"),
        (dict(stem=torch.ones(2, dtype=torch.long)), r'it is \(2,\) of torch.int64, here \(2,\) of torch.float32'),
        (dict(stem=None), "the entry 'stem' is missing in it"),
        (dict(more=torch.ones(1)), "its entry 'more' has no counterpart here"),
    ],
)
def test_another_detector_is_refused_with_what_differs(change, says):
    weights = {name: value for name, value in {'stem': torch.ones(2), **change}.items() if value is not None}
    with pytest.raises(InputError, match=rf'a\.pth, which is of a ResNet, does not fit.*{says}'):
        transfer(weights, {'stem': torch.zeros(2)}, ['a'], ['a'], 'a.pth', 'a ResNet')


def test_a_sigmoid_layer_of_as_many_rows_is_not_taken_for_a_softmax_layer():
    name = 'bbox_head.fc_cls'  # three classes before; two and no-object now
    with pytest.raises(InputError, match=rf"'{name}.weight' has 3 rows for 3 classes, here there are 3 for 2"):
        transfer(layer(name, 3, 0), layer(name, 3, 0), ['a', 'b', 'c'], ['a', 'b'], 'a.pth')


@pytest.mark.parametrize(
    ('name', 'count'), [('bbox_head.retina_cls', 5), ('bbox_head.fc_cls', 3), ('bbox_head.selection.classify', 3)]
)
def test_a_class_layer_with_too_many_rows_is_refused(name, count):
    with pytest.raises(InputError, match=rf'a\.pth does not fit.*{name}'):
        transfer(layer(name, count, 0), layer(name, 2, 0), ['a', 'b'], ['b', 'c'], 'a.pth')
