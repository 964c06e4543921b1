"""MobileViT against transformers' (numbers in reference/mobilevit/, by tools/dev/mobilevit_reference.py)."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from mfdet.errors import InputError
from mfdet.models import MOBILEVITS, MobileViT, MobileViTClassifier
from mfdet.weights import convert_released, convert_to_mobilevit

REFERENCE = Path(__file__).parent / 'reference'
_spec = importlib.util.spec_from_file_location('fill', REFERENCE / 'fill.py')
fill = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fill)
FIXTURE = json.loads((REFERENCE / 'mobilevit' / 'mobilevit.json').read_text())
GAIN = 1.8  # as in the tool


def released(model):
    """Return weights for a classifier in the released layout, by the rule of the tool."""
    keys = [(name, tuple(value.shape)) for name, value in convert_to_mobilevit(model.state_dict()).items()]
    weights = {name: torch.from_numpy(value) for name, value in fill.state_dict(keys).items()}
    return {name: GAIN * value if value.ndim == 4 else value for name, value in weights.items()}


def assert_recorded(tensor, record):
    assert list(tensor.shape) == record['shape']
    flat = tensor.flatten().double().numpy()
    np.testing.assert_allclose(flat[record['index']], record['value'], rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.abs(flat).mean(), record['absmean'], rtol=0, atol=1e-5)


@pytest.mark.parametrize('arch', MOBILEVITS)
def test_equals_transformers(arch):
    model = MobileViTClassifier(arch).eval()
    weights = released(model)
    assert len(weights) == FIXTURE[arch]['entries']
    model.load_state_dict(convert_released(weights, 'x'))
    for case in FIXTURE[arch]['cases']:
        image = torch.from_numpy(fill.image(case['seed'], tuple(case['shape'])))
        with torch.no_grad():
            maps, logits = model.backbone(image), model(image)
        for feature, record in zip(maps, case['maps'], strict=True):
            assert_recorded(feature, record)
        assert_recorded(logits, case['logits'])


# Table of the classifiers: 1.3, 2.3 and 5.6 M.
@pytest.mark.parametrize(('arch', 'params'), [('xxs', 1.272), ('xs', 2.318), ('s', 5.579)])
def test_params_are_those_of_the_paper(arch, params):
    model = MobileViTClassifier(arch)
    assert sum(value.numel() for value in model.parameters()) / 1e6 == pytest.approx(params, abs=5e-4)


@pytest.mark.parametrize('size', [(1, 1), (97, 131)])
def test_any_image_size(size):
    model = MODELS.build(dict(type='MobileViT', arch='xxs')).eval()
    with torch.no_grad():
        maps = model(torch.randn(2, 3, *size))
    for stride, channels, feature in zip(model.out_strides, model.out_channels, maps, strict=True):
        assert feature.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_out_indices_choose_maps_and_leave_out_later_stages():
    full, short = MobileViT('xxs').eval(), MobileViT('xxs', out_indices=(0, 2)).eval()
    assert len(short.stages) == 4
    assert (short.out_channels, short.out_strides) == ([24, 64], [4, 16])
    short.load_state_dict({name: full.state_dict()[name] for name in short.state_dict()})
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = full(image)
        torch.testing.assert_close(short(image), (maps[0], maps[2]))


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = MobileViTClassifier('xxs', num_classes=5)
    loss = torch.nn.functional.cross_entropy(model(torch.randn(4, 3, 70, 64)), torch.tensor([0, 1, 2, 3]))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        if not name.endswith('attention.key.bias'):  # it does not change a softmax over the keys
            assert parameter.grad.abs().max() > 0, name


def test_frozen_stages_and_norms_stay_in_evaluation_mode():
    model = MobileViT('xxs', frozen_stages=1).train()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name[:8] for name in trained} == {'stages.2', 'stages.3', 'stages.4'}
    assert not model.stages[1].training
    assert model.stages[2].training
    model = MobileViT('xxs', norm_eval=True).train()
    assert model.stages[2].transformer.training
    assert not model.stages[2].fuse.bn.training


@pytest.mark.parametrize('suffix', ['.safetensors', '.bin'])
def test_pretrained_reads_released_files(tmp_path, suffix):
    weights = released(MobileViTClassifier('xxs', num_classes=3))
    path = str(tmp_path / f'model{suffix}')
    if suffix == '.bin':
        torch.save(weights, path)
    else:
        pytest.importorskip('safetensors.torch').save_file(weights, path, metadata=dict(format='pt'))
    backbone = MobileViT('xxs', out_indices=(1, 2), init_cfg=dict(type='Pretrained', checkpoint=path))
    backbone.init_weights()
    query = weights['mobilevit.encoder.layer.3.transformer.layer.1.attention.attention.query.weight']
    assert torch.equal(backbone.stages[3].transformer[1].attention.query.weight, query)
    with pytest.raises(InputError, match=r'model\..* does not fit the backbone xs: entry'):
        MobileViT('xs', init_cfg=dict(type='Pretrained', checkpoint=path)).init_weights()


def test_an_entry_that_has_no_place_is_named(tmp_path):
    weights = released(MobileViTClassifier('xxs', num_classes=3))
    weights['mobilevit.encoder.layer.2.extra.weight'] = torch.zeros(1)
    path = str(tmp_path / 'model.bin')
    torch.save(weights, path)
    with pytest.raises(InputError, match=r"model\.bin: unknown entry 'encoder\.layer\.2\.extra\.weight': .*MobileViT"):
        MobileViT('xxs', init_cfg=dict(type='Pretrained', checkpoint=path)).init_weights()


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (dict(arch='m'), 'arch must be one of s, xs, xxs'),
        (dict(out_indices=(2, 1)), 'out_indices must rise'),
        (dict(frozen_stages=5), 'frozen_stages must be'),
        (dict(dropout=1), 'dropout must be'),
    ],
)
def test_wrong_arguments_are_named(options, says):
    with pytest.raises(InputError, match=says):
        MobileViT(**options)
