"""MobileNetV3 and ShuffleNetV2, the backbones built here to compare with."""

import pytest
import torch
from torch import nn

from mfdet.errors import InputError
from mfdet.models import MobileNetV3, ShuffleNetV2

CHANNELS = {MobileNetV3: (24, 40, 112, 160), ShuffleNetV2: (24, 116, 232, 464)}


@pytest.mark.parametrize(
    ('backbone', 'params'),  # torchvision's models without their classifiers
    [(MobileNetV3, 2_971_952), (ShuffleNetV2, 1_253_604)],
)
def test_it_is_the_known_one(backbone, params):
    model = backbone(last_conv=True).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == params
    assert [x.shape[1] for x in model(torch.randn(1, 3, 64, 64))] == model.out_channels


@pytest.mark.parametrize('backbone', CHANNELS)
def test_maps_halve_at_any_size(backbone):
    model = backbone().eval()
    maps = model(torch.randn(1, 3, 97, 131))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (channels, -(-97 // stride), -(-131 // stride))
        for channels, stride in zip(CHANNELS[backbone], (4, 8, 16, 32), strict=True)
    ]
    some = backbone(out_indices=(2,)).eval()
    some.load_state_dict(model.state_dict())
    assert torch.equal(some(torch.ones(1, 3, 64, 64))[0], model(torch.ones(1, 3, 64, 64))[2])


@pytest.mark.parametrize('backbone', CHANNELS)
def test_freezing(backbone):
    model = backbone(frozen_stages=2, norm_eval=True)
    frozen = {id(parameter) for parameter in model.parameters() if not parameter.requires_grad}
    expected = {id(p) for stage in model.chain()[:3] for module in stage for p in module.parameters()}
    assert frozen == expected
    assert len(frozen) < len(list(model.parameters()))
    model.train()
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))


@pytest.mark.parametrize('backbone', CHANNELS)
def test_wrong_options(backbone):
    with pytest.raises(InputError, match='out_indices must rise within'):
        backbone(out_indices=(4,))
    with pytest.raises(InputError, match='frozen_stages must be from -1'):
        backbone(frozen_stages=5)


def test_shuffling_mixes_the_halves():
    block = ShuffleNetV2().layers[0][1].eval()
    x = torch.randn(1, 116, 4, 4)
    out = block(x)
    assert torch.equal(out[:, ::2], x[:, :58])  # the half that is kept, every second channel
    assert not torch.equal(out[:, 1::2], x[:, 58:])


def test_unknown_width():
    with pytest.raises(InputError, match=r"arch must be one of 0\.5x, 1\.0x, 1\.5x, 2\.0x, got '3x'"):
        ShuffleNetV2('3x')


@pytest.mark.parametrize('backbone', CHANNELS)
def test_a_classifiers_weights_load_without_what_is_its_alone(backbone, tmp_path):
    whole = backbone(last_conv=True)
    weights = {f'backbone.{name}': value for name, value in whole.state_dict().items()}
    torch.save(dict(state_dict={**weights, 'head.fc.weight': torch.zeros(3)}), tmp_path / 'classifier.pth')
    config = dict(type='Pretrained', checkpoint=str(tmp_path / 'classifier.pth'))
    model = backbone(init_cfg=config)
    model.init_weights()
    assert all(value.equal(whole.state_dict()[name]) for name, value in model.state_dict().items())
    torch.save(dict(state_dict={'backbone.other': torch.zeros(3)}), tmp_path / 'classifier.pth')
    with pytest.raises(InputError, match=r'classifier\.pth does not fit the backbone .*is missing'):
        backbone(init_cfg=config).init_weights()
