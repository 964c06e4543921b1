"""Rewrites for inference: the same numbers, from layers that are computed in another way."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

import mfdet.register  # noqa: F401
from mfdet.benchmark.straightforward import straightforward
from mfdet.export.channels_last import channels_last
from mfdet.layers import DynamicReLU, MobileDownsample, MobileFormerBlock
from mfdet.models import MobileFormer
from mfdet.models.fuse import FUSED, FusedBlock, fold, fuse, replace_modules
from mfdet.models.strips import InStrips, RowsDepthwise


def backbone(arch, **options):
    """A backbone whose BatchNorms, linear layers and dynamic ReLUs are not at their first values."""
    torch.manual_seed(0)
    model = MobileFormer(arch, **options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
            module.bias.data.normal_(std=0.2)
        elif isinstance(module, torch.nn.Linear):
            module.weight.data.normal_(std=0.15)  # so that images differ in their tokens
    for module in model.modules():
        if isinstance(module, DynamicReLU):
            module.expand.bias.data.normal_(std=3)  # some coefficients at their bounds
    return model


def rewritten(model, form, monkeypatch):
    """A copy of a model in one of the forms, its maps cut into several strips even where they are small."""
    for name in ('STRIP_SIZE', 'BACKBONE_STRIP_SIZE'):
        monkeypatch.setattr(f'mfdet.export.channels_last.{name}', 3000)
    monkeypatch.setattr(InStrips.__init__, '__defaults__', (3000,))
    model = copy.deepcopy(model)
    if form == 'straightforward':
        return straightforward(model)
    return fuse(model) if form == 'fuse' else channels_last(model, fixed_size=form == 'channels last, strips')


FORMS = ['fuse', 'channels last', 'channels last, strips']


@pytest.mark.parametrize('form', [*FORMS, 'straightforward'])
@pytest.mark.parametrize(('arch', 'spatial_aware'), [('96m', False), ('96m', True), ('26m', False)])
def test_a_rewritten_backbone_gives_the_same_maps(arch, spatial_aware, form, monkeypatch):
    if form == 'straightforward' and spatial_aware:
        pytest.skip('the straightforward form is written for spatial-shared dynamic ReLU alone')
    model = backbone(arch, spatial_aware_dyrelu=spatial_aware)
    other = rewritten(model, form, monkeypatch)
    for shape in ((2, 3, 96, 160), (1, 3, 75, 101), (2, 3, 32, 64)):  # the last: maps of one row
        images = torch.randn(shape)
        for expected, actual in zip(model(images), other(images), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    assert all(a.abs().max() > 0.1 for a in model(images))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('spatial_aware', [False, True])
def test_a_rewritten_backbone_masks_padding_as_before(spatial_aware, form, monkeypatch):
    model = backbone('96m', spatial_aware_dyrelu=spatial_aware)
    other = rewritten(model, form, monkeypatch)
    images = torch.randn(2, 3, 96, 128)
    valid = torch.ones(2, 1, 96, 128, dtype=torch.bool)
    valid[1, :, 60:] = valid[1, :, :, 90:] = False
    images *= valid
    for expected, actual in zip(model(images, valid=valid), other(images, valid=valid), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(model(images)[0], model(images, valid=valid)[0], atol=1e-2)


ABLATIONS = {
    'plain ReLU': dict(dynamic_relu=False),
    'no feed-forward network': dict(former_cfg=dict(ffn_ratio=0)),
    'tokens mixed by an MLP': dict(former_cfg=dict(token_mixer='mlp')),
    'no tokens': dict(num_tokens=0, dynamic_relu=False),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('ablation', ABLATIONS)
def test_ablations_are_rewritten_as_well(ablation, form, monkeypatch):
    model, images = backbone('96m', **ABLATIONS[ablation]), torch.randn(2, 3, 64, 64)
    for expected, actual in zip(model(images), rewritten(model, form, monkeypatch)(images), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_fuse_keeps_the_precision_and_needs_no_gradients(dtype):
    model = backbone('96m').to(dtype)
    fused, images = fuse(copy.deepcopy(model)), torch.randn(1, 3, 64, 64, dtype=dtype)
    tolerance = 1e-6 if dtype == torch.float64 else 0.3
    for expected, actual in zip(model(images), fused(images), strict=True):
        torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)
        assert not actual.requires_grad
    assert not any(module.training for module in fused.modules())
    assert not any(parameter.requires_grad for parameter in fused.parameters())


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('spatial_aware', [False, True])
def test_a_rewritten_detector_masks_padding_as_before(spatial_aware, form, monkeypatch):
    init_default_scope('mmdet')
    config = dict(
        type='E2EMobileFormer',
        backbone=dict(type='MobileFormer', arch='26m', out_indices=(1, 2, 3), spatial_aware_dyrelu=True),
        bbox_head=dict(
            type='MobileFormerHead', num_classes=3, in_channels=[24, 64, 96], channels=[32, 24, 16],
            num_blocks=[1, 2, 1], query_dim=32, num_queries=15, expand_ratio=2, spatial_aware_dyrelu=spatial_aware,
        ),
    )  # fmt: skip
    model = MODELS.build(config).eval()
    for parameter in model.bbox_head.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    other = rewritten(model, form, monkeypatch)
    images = torch.randn(2, 3, 96, 128)
    valid = torch.ones(2, 1, 96, 128, dtype=torch.bool)
    valid[1, :, 60:] = valid[1, :, :, 90:] = False
    images *= valid
    for a, b in zip(
        *(m.bbox_head(m.backbone(images, valid=valid), valid[..., ::8, ::8]) for m in (model, other)), strict=True
    ):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)


def test_a_fused_backbone_takes_autocast_and_gives_gradients_of_the_image():
    model, images = backbone('96m'), torch.randn(1, 3, 64, 64, requires_grad=True)
    fused = fuse(copy.deepcopy(model))
    expected, actual = (torch.autograd.grad(form(images)[-1].square().sum(), images)[0] for form in (model, fused))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        maps = fused(images)
    assert all((a - b).abs().mean() < 0.05 * b.abs().mean() for a, b in zip(maps, model(images), strict=True))


@pytest.mark.parametrize(
    'options',
    [
        dict(conv_cfg=dict(type='ConvWS')),  # changes its weights as it runs
        dict(norm_cfg=dict(type='BN', affine=False)),
        dict(order=('norm', 'conv', 'act')),
    ],
)
def test_batch_norms_that_cannot_be_folded_stay(options):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*(ConvModule(8, 8, 3, **{'norm_cfg': dict(type='BN'), **options}) for _ in range(2)))
    images = torch.randn(4, 8, 16, 16)
    layers(images)  # in training mode: statistics
    expected = layers.eval()(images)
    torch.testing.assert_close(fuse(layers)(images), expected)


def test_fuse_repeats_maps_before_wide_expanding_layers():
    layers = [module for module in fuse(backbone('96m')).modules() if isinstance(module, RowsDepthwise)]
    strides = {layer.conv.stride[0] for layer in layers if layer.repeats > 1}
    assert strides == {1, 2}
    assert any(layer.conv.out_channels > layer.conv.in_channels for layer in layers)  # narrow ones stay as they are


def test_a_dynamic_relu_is_a_scale_and_a_leaky_relu():
    block = MobileFormerBlock(MobileDownsample(4, 8, 2, 3, 16), 4, 8, 16)
    acts = block.mobile.act1, block.mobile.act2  # of 8 and 24 channels
    for act in acts:
        half = act.expand.out_features // 2
        act.expand.bias.data.normal_(std=3)
        act.expand.bias.data[0], act.expand.bias.data[half] = -9, -9  # a1 = 0, a2 = -1: no positive slope
    tokens = torch.randn(2, 6, 16)
    hidden = torch.cat([act.reduce(tokens[:, 0]) for act in acts], -1)
    for act, (scale, slope) in zip(acts, FusedBlock(replace_modules(fold(block), FUSED)).slopes(hidden), strict=True):
        x = torch.randn(2, scale.shape[1], 4, 4)
        scaled = x * scale[..., None, None]
        actual = torch.cat([F.prelu(scaled[i : i + 1], slope[i]) for i in range(2)])
        torch.testing.assert_close(actual, act(x, tokens))
