import pytest
import torch

from mfdet.errors import InputError
from mfdet.models import MobileFormer, MobileFormerClassifier
from mfdet.weights import convert_to_official


@pytest.fixture(scope='module')
def classifier():
    torch.manual_seed(1)
    return MobileFormerClassifier('26m', num_classes=3)


def save(path, weights, form):
    if form == 'released':
        weights = convert_to_official(weights)
    elif form == 'module':
        weights = {f'module.{name}': value for name, value in convert_to_official(weights).items()}
    elif form == 'detector':
        weights = {name: value for name, value in weights.items() if name.startswith('backbone.')}
        weights['bbox_head.retina_cls.weight'] = torch.zeros(1)
    elif form == 'bare':
        weights = {name[9:]: value for name, value in weights.items() if name.startswith('backbone.')}
    torch.save({'state_dict': weights}, path)
    return str(path)


@pytest.mark.parametrize('form', ['released', 'module', 'converted', 'detector', 'bare'])
@pytest.mark.parametrize('out_indices', [(0, 1, 2, 3), (1, 2)])
def test_pretrained_takes_every_form(tmp_path, classifier, form, out_indices):
    path = save(tmp_path / 'mobile-former-26m.pth.tar', classifier.state_dict(), form)
    backbone = MobileFormer('26m', out_indices, init_cfg=dict(type='Pretrained', checkpoint=path))
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, classifier.backbone.state_dict()[name]), name


@pytest.mark.parametrize(
    ('value', 'says'),
    [
        (torch.full((8,), float('nan')), 'holds NaN or infinity'),
        (torch.tensor([1.0] * 7 + [float('-inf')]), 'holds NaN or infinity'),
        (torch.full((8,), 1e300, dtype=torch.float64), 'holds NaN or infinity'),  # of the model's float32
        (torch.ones(8, dtype=torch.int64), r'is of torch\.int64, expected torch\.float32'),
        (torch.ones(8, dtype=torch.bool), r'is of torch\.bool, expected torch\.float32'),
    ],
)
def test_weights_that_are_no_finite_floats_are_named(tmp_path, classifier, value, says):
    weights = dict(classifier.state_dict(), **{'backbone.stem.bn.weight': value})
    backbone = MobileFormer(
        '26m', init_cfg=dict(type='Pretrained', checkpoint=save(tmp_path / 'w.pth', weights, 'bare'))
    )
    with pytest.raises(InputError, match=rf"w\.pth.*entry 'stem\.bn\.weight' {says}"):
        backbone.init_weights()


def test_half_precision_is_read(tmp_path, classifier):
    weights = {
        name: value.half() if value.is_floating_point() else value for name, value in classifier.state_dict().items()
    }
    path = save(tmp_path / 'w.pth', weights, 'bare')
    MobileFormer('26m', init_cfg=dict(type='Pretrained', checkpoint=path)).init_weights()


@pytest.mark.parametrize('change', ['missing', 'shape', 'unknown', 'variant'])
def test_mismatches_are_named(tmp_path, classifier, change):
    weights, arch = dict(classifier.state_dict()), '26m'
    named = name = 'backbone.stem.conv.weight'
    if change == 'missing':
        del weights[name]
    elif change == 'shape':
        weights[name] = torch.zeros(1)
    elif change == 'unknown':
        named = 'backbone.more'
        weights[named] = torch.zeros(1)
    else:
        arch, named = '52m', 'backbone.blocks.0.pointwise.conv.weight'
    path = save(tmp_path / 'w.pth', weights, 'converted')
    backbone = MobileFormer(arch, init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(InputError, match=f'w.pth.*{named.removeprefix("backbone.")}'):
        backbone.init_weights()
