"""The backbone against the authors' released code (numbers in reference/), and its own promises."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from mfdet.complexity import count_complexity
from mfdet.models import ARCHS, MobileFormer, MobileFormerClassifier
from mfdet.weights import convert_official

REFERENCE = Path(__file__).parent / 'reference'
_spec = importlib.util.spec_from_file_location('fill', REFERENCE / 'fill.py')
fill = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fill)

PARAMS = {'508m': 13.977, '294m': 11.423, '214m': 9.426, '151m': 7.596, '96m': 4.585, '52m': 3.469, '26m': 3.233}


def assert_recorded(tensor, record):
    """Compare a tensor with its recorded shape, statistics and values at flat indices, within 2e-4."""
    assert list(tensor.shape) == record['shape']
    flat = tensor.flatten().double().numpy()
    np.testing.assert_allclose(flat[record['index']], record['value'], rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(flat.mean(), record['mean'], rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(flat.std(), record['std'], rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(np.abs(flat).max(), record['absmax'], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize('name', sorted(path.stem for path in REFERENCE.glob('*.json')))
def test_equals_the_released_code(name):
    fixture = json.loads((REFERENCE / f'{name}.json').read_text())
    arch = fixture['arch'].removeprefix('mobile_former_')
    model = MobileFormerClassifier(arch, spatial_aware_dyrelu=fixture['spatial_aware_dyrelu']).eval()
    released = {key: torch.from_numpy(value) for key, value in fill.state_dict(fixture['keys']).items()}
    model.load_state_dict(convert_official(released))
    for case in fixture['cases']:
        image = torch.from_numpy(fill.image(case['seed'], case['shape']))
        with torch.no_grad():
            maps, tokens = model.backbone(image, return_tokens=True)
            logits = model(image)
        for stride, feature in zip(('4', '8', '16', '32'), maps, strict=True):
            assert_recorded(feature, case['features'][stride])
        assert_recorded(tokens, case['tokens'])
        assert_recorded(logits, case['logits'])


@pytest.mark.parametrize('arch', ARCHS)
def test_params_and_madds_are_those_of_the_paper(arch):
    cost = count_complexity(MobileFormerClassifier(arch), (224, 224))
    assert cost.params / 1e6 == pytest.approx(PARAMS[arch], abs=5e-4)
    assert cost.madds / 1e6 == pytest.approx(int(arch[:-1]), rel=0.035)


# Table 6 and 7 of the paper, Mobile-Former-294M. Its token-mixing MLP (10.5 M) is not described; ours has 10.61 M.
@pytest.mark.parametrize(
    ('options', 'params', 'madds'),
    [
        (dict(num_tokens=0, dynamic_relu=False), 6.1, 259),
        (dict(dynamic_relu=False), 10.1, 290),
        (dict(former_cfg=dict(ffn_ratio=0)), 9.8, 284),
        (dict(former_cfg=dict(token_mixer='mlp')), 10.6, 284),
        (dict(num_tokens=1), None, 269),
        (dict(num_tokens=9), None, 309),
        (dict(token_dim=64), 7.3, None),
        (dict(token_dim=320), 17.9, None),
    ],
)
def test_ablations_of_the_paper(options, params, madds):
    cost = count_complexity(MobileFormerClassifier('294m', **options), (224, 224))
    if params:
        assert cost.params / 1e6 == pytest.approx(params, abs=0.05)
    if madds:
        assert cost.madds / 1e6 == pytest.approx(madds, rel=0.035)
    model = MobileFormerClassifier('294m', num_classes=3, **options).eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize('size', [(1, 1), (33, 65), (127, 90), (224, 224)])
def test_any_image_size(size):
    model = MODELS.build(dict(type='MobileFormer', arch='26m', spatial_aware_dyrelu=True)).eval()
    with torch.no_grad():
        maps = model(torch.randn(2, 3, *size))
    for stride, channels, feature in zip(model.out_strides, model.out_channels, maps, strict=True):
        assert feature.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))
        assert feature.isfinite().all()


def test_out_indices_choose_maps_and_leave_out_later_stages():
    full, short = MobileFormer('96m').eval(), MobileFormer('96m', out_indices=(0, 2)).eval()
    assert len(short.blocks) < len(full.blocks)
    short.load_state_dict({name: full.state_dict()[name] for name in short.state_dict()})
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = full(image)
        torch.testing.assert_close(short(image), (maps[0], maps[2]))


@pytest.mark.parametrize('spatial_aware', [False, True])
@pytest.mark.parametrize('arch', ['26m', '151m'])
def test_gradients_reach_every_parameter(arch, spatial_aware):
    torch.manual_seed(0)
    model = MobileFormerClassifier(arch, num_classes=5, spatial_aware_dyrelu=spatial_aware)
    logits = model(torch.randn(4, 3, 64, 64))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # A bias shared by all keys does not change a softmax over those keys, so this gradient is zero by nature.
        if not name.endswith('former_to_mobile.key.bias'):
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize('mode', ['float32', 'bfloat16', 'channels_last'])
def test_training_loss_is_finite_and_falls(mode):
    torch.manual_seed(0)
    model = MobileFormerClassifier('26m', num_classes=2)
    images, labels = torch.randn(8, 3, 64, 64), torch.tensor([0, 1] * 4)
    if mode == 'channels_last':
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(10):
        with torch.autocast('cpu', torch.bfloat16, enabled=mode == 'bfloat16'):
            loss = torch.nn.functional.cross_entropy(model(images).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.5 * losses[0]


def test_activation_checkpointing_changes_no_gradient():
    torch.manual_seed(0)
    plain, saving = MobileFormer('26m'), MobileFormer('26m', with_cp=True)
    saving.load_state_dict(plain.state_dict())
    image = torch.randn(2, 3, 64, 64)
    for model in (plain, saving):
        sum(feature.square().mean() for feature in model(image)).backward()
    for (name, ours), theirs in zip(saving.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_drop_path_rises_with_depth_and_only_acts_in_training():
    model = MobileFormer('26m', drop_path_rate=0.5)
    rates = [block.former.drop_path.drop_prob for block in model.blocks if hasattr(block, 'former')]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.5)
    image = torch.randn(1, 3, 64, 64)
    model.eval()
    torch.testing.assert_close(model(image), model(image))


def test_frozen_stages_and_norm_eval():
    model = MobileFormer('26m', frozen_stages=1, norm_eval=True).train()
    frozen = {name.split('.')[1] for name, p in model.named_parameters() if not p.requires_grad and 'blocks' in name}
    assert frozen == {'0', '1'}  # the two blocks at stride 4
    assert not model.tokens.requires_grad
    assert not model.stem.bn.weight.requires_grad
    before = model.stem.bn.running_mean.clone(), model.blocks[-1].mobile.project.bn.running_mean.clone()
    model(torch.randn(2, 3, 64, 64) + 1)
    after = model.stem.bn.running_mean, model.blocks[-1].mobile.project.bn.running_mean
    torch.testing.assert_close(after, before)
    model.norm_eval = False
    model.train()
    model(torch.randn(2, 3, 64, 64) + 1)
    assert not torch.equal(model.blocks[-1].mobile.project.bn.running_mean, before[1])
    assert torch.equal(model.stem.bn.running_mean, before[0])


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(arch='500m'), 'arch'),
        (dict(out_indices=(3, 1)), 'out_indices'),
        (dict(out_indices=(4,)), 'out_indices'),
        (dict(out_indices=()), 'out_indices'),
        (dict(frozen_stages=5), 'frozen_stages'),
        (dict(num_tokens=0), 'dynamic_relu'),
        (dict(token_dim=190), 'token_dim'),
        (dict(former_cfg=dict(token_mixer='conv')), 'token_mixer'),
    ],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        MobileFormer(**options)
