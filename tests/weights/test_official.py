import pytest
import torch

from mfdet.errors import InputError
from mfdet.models import ARCHS, MobileFormerClassifier
from mfdet.models.find_arch import find_arch
from mfdet.weights import convert_official, convert_to_official, is_official


@pytest.mark.parametrize('arch', ARCHS)
def test_both_directions_and_the_variant(arch):
    ours = MobileFormerClassifier(arch, num_classes=7).state_dict()
    released = convert_to_official(ours)
    assert is_official(released)
    assert not is_official(ours)
    assert len(released) == len(ours)
    back = convert_official(released)
    assert list(back) == list(ours)
    assert all(back[name] is ours[name] for name in ours)
    assert find_arch(back) == (arch, 7)


def test_unknown_entries_are_named():
    released = convert_to_official(MobileFormerClassifier('26m').state_dict())
    released['features.1.conv9.weight'] = torch.zeros(1)
    with pytest.raises(InputError, match=r"'features\.1\.conv9\.weight'"):
        convert_official(released)
    with pytest.raises(InputError, match='extra'):
        convert_to_official({'extra': torch.zeros(1)})


@pytest.mark.parametrize('change', ['missing', 'shape', 'unknown'])
def test_what_does_not_fit_is_named(change):
    weights = dict(MobileFormerClassifier('26m', num_classes=7).state_dict())
    name = 'backbone.blocks.3.former.query.weight'
    if change == 'missing':
        del weights[name]
    elif change == 'shape':
        weights[name] = torch.zeros(3, 3)
    else:
        name = 'backbone.other'
        weights[name] = torch.zeros(1)
    with pytest.raises(InputError, match=name) as error:
        find_arch(weights, 'file.pth')
    assert 'file.pth' in str(error.value)
    assert 'more' not in str(error.value)
