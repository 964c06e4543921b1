"""The forms for OpenVINO: the same numbers as the layers, computed in another way."""

import copy

import pytest
import torch

from mfdet.export.channels_last import FORMS, PART, ChannelsLastMobile, ChannelsLastUpConv, Half, channels_last
from mfdet.layers import DynamicReLU, FormerToMobile, Mobile, MobileFormerBlock, MobileToFormer
from mfdet.layers.up_conv import UpConv
from mfdet.models import MobileFormer
from mfdet.models.fuse import fold

VALID = torch.ones(2, 1, 12, 10, dtype=torch.bool)
VALID[1, :, 8:] = VALID[1, :, :, 5:] = False


def rewritten(layer):
    """A copy of a layer in the form for OpenVINO."""
    layer = copy.deepcopy(layer)
    for module in layer.modules():
        module.__class__ = (FORMS | {UpConv: ChannelsLastUpConv}).get(type(module), type(module))
    return layer


@pytest.mark.parametrize('tokens', [6, 40])  # in one product for all heads, and as usual
@pytest.mark.parametrize('valid', [None, VALID], ids=['all image', 'padded'])
def test_attention(tokens, valid):
    torch.manual_seed(0)
    x, z, position = torch.randn(2, 8, 12, 10), torch.randn(2, tokens, 16), torch.randn(2, tokens, 16)
    read, write = MobileToFormer(8, 16), FormerToMobile(8, 16)
    for expected, actual in zip(read(x, z, position, valid), rewritten(read)(x, z, position, valid), strict=True):
        torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(rewritten(write)(x, z, position), write(x, z, position))
    assert not torch.allclose(read(x, z, None, valid)[0], read(x, z, position, valid)[0])


@pytest.mark.parametrize('valid', [None, VALID, VALID[..., :11, :9]], ids=['all image', 'padded', 'odd'])
def test_up_convolution(valid):
    torch.manual_seed(0)
    layer = UpConv(8, 5, 6).eval()
    layer.conv.bn.running_mean.normal_()
    layer.conv.bn.bias.data.normal_()
    height, width = (12, 10) if valid is None else valid.shape[-2:]
    x, lateral = torch.randn(2, 8, 6, 5), torch.randn(2, 5, height, width)
    other = rewritten(fold(copy.deepcopy(layer)))
    torch.testing.assert_close(other(x, lateral, valid), layer(x, lateral, valid), rtol=1e-4, atol=1e-5)


def test_large_maps_are_up_convolved_as_before(monkeypatch):
    other = rewritten(fold(UpConv(8, 5, 6).eval()))
    called = []
    monkeypatch.setattr(ChannelsLastUpConv, 'enlarge', lambda self, valid: called.append(valid))
    with pytest.raises(TypeError):  # the products want matrices
        other(torch.randn(1, 8, 7, 7), torch.randn(1, 5, 14, 14))
    assert called
    assert other(torch.randn(1, 8, 7, 8), torch.randn(1, 5, 14, 16)).shape == (1, 6, 14, 16)


def test_layers_of_the_same_tokens_are_one_in_a_backbone_and_not_in_a_head():
    backbone = channels_last(MobileFormer('26m'))
    block = backbone.blocks[1]
    assert isinstance(block.mobile_to_former.query, Half)
    assert block.mobile_to_former.query.layer is block.mobile_to_former.gate.layer
    assert block.mobile.act1.reduce.layer is block.mobile.act2.reduce.layer
    assert not any(isinstance(module, Half) for module in channels_last(MobileFormerBlock(None, 6, 6, 16)).modules())


@pytest.mark.parametrize('fixed_size', [False, True])
def test_what_a_model_for_one_size_is_made_of(fixed_size):
    model = torch.nn.Sequential(UpConv(8, 5, 6), Mobile(6, 6, 4, 16), MobileToFormer(6, 16))
    kinds = {type(module) for module in channels_last(model, fixed_size).modules()}
    assert FORMS[MobileToFormer] in kinds
    assert FORMS[DynamicReLU] in kinds
    assert {ChannelsLastUpConv, ChannelsLastMobile} <= kinds if fixed_size else {UpConv, Mobile} <= kinds


@pytest.mark.parametrize('mixing', ['none', 'output', 'hidden'])
@pytest.mark.parametrize('valid', [None, VALID], ids=['all image', 'padded'])
def test_a_mobile_block_in_parts_of_its_channels(mixing, valid):
    torch.manual_seed(0)
    block = Mobile(8 * 16, 8 * 16, 3, 16, mix_hidden=mixing == 'hidden').eval()
    for act in (block.act1, block.act2):
        act.expand.bias.data.normal_(std=3)  # some slopes at their bounds
    x, tokens = torch.randn(2, 128, 12, 10), torch.randn(2, 5, 16)
    logits = None if mixing == 'none' else torch.randn(2, 5, 12, 10)
    other = ChannelsLastMobile(rewritten(fold(torch.nn.Sequential(copy.deepcopy(block)))[0]), 2 * PART * 240)
    assert other.parts(x) == [slice(0, 128), slice(128, 256), slice(256, 384)]
    expected = block(x, tokens, logits, valid)
    torch.testing.assert_close(other(x, tokens, logits, valid), expected, rtol=1e-4, atol=1e-4)
    other.block.act1 = torch.nn.ReLU()
    assert not other.parts(x)


def test_parts_are_for_maps_of_few_rows_and_many_channels():
    def parts(channels, ratio, size, strip_size=600_000):
        block = fold(torch.nn.Sequential(Mobile(channels, channels, ratio, 16)))[0]
        return ChannelsLastMobile(rewritten(block), strip_size).parts(torch.empty(1, channels, *size, device='meta'))

    assert parts(272, 6, (50, 84))[-1].stop == 272 * 6
    assert not parts(272, 6, (10, 8))  # it fits as it is
    assert not parts(40, 4, (200, 336))  # strips have 11 rows, parts would have 9 channels
    assert not parts(64, 4, (100, 40))  # strips have more rows than the limit


def test_dynamic_relu_of_some_channels():
    act = DynamicReLU(6, 16)
    x, tokens = torch.randn(2, 6, 4, 3), torch.randn(2, 5, 16)
    part = rewritten(act)(x[:, 2:5], tokens, channels=slice(2, 5))
    torch.testing.assert_close(part, act(x, tokens)[:, 2:5])
