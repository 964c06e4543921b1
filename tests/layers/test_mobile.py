import pytest
import torch

from mfdet.layers import BneckLite, Mobile, MobileDownsample, channel_shuffle
from mfdet.layers.mobile import halve_logits


def test_channel_shuffle_interleaves_groups():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(channel_shuffle(x, 1), x)


@pytest.mark.parametrize(
    ('channels', 'stride', 'residual'), [((8, 8), 1, True), ((8, 12), 1, False), ((8, 8), 2, False)]
)
def test_bneck_lite_adds_its_input_only_at_equal_shape(channels, stride, residual):
    layer = BneckLite(*channels, expand_ratio=2, stride=stride).eval()
    torch.nn.init.zeros_(layer.pointwise.conv.weight)
    x = torch.randn(1, channels[0], 7, 9)
    out = layer(x)
    assert out.shape == (1, channels[1], -(-7 // stride), -(-9 // stride))
    torch.testing.assert_close(out, x if residual else torch.zeros_like(out))


@pytest.mark.parametrize(('channels', 'residual'), [((8, 8), True), ((8, 12), False)])
def test_mobile_adds_its_input_only_at_equal_width(channels, residual):
    layer = Mobile(*channels, expand_ratio=3, token_dim=8).eval()
    torch.nn.init.zeros_(layer.project.conv.weight)
    x = torch.randn(1, channels[0], 5, 6)
    out = layer(x, torch.randn(1, 2, 8))
    torch.testing.assert_close(out, x if residual else torch.zeros(1, channels[1], 5, 6))


def test_downsample_halves_odd_sizes_upwards_and_pools_the_logits():
    layer = MobileDownsample(8, 12, 6, 4, token_dim=8).eval()
    x, tokens = torch.randn(1, 8, 5, 8), torch.randn(1, 2, 8)
    with torch.no_grad():
        out = layer(x, tokens, torch.zeros(1, 2, 5, 8))
        # Logits that favour token 0 everywhere by far: the same as the spatial-shared form.
        logits = torch.zeros(1, 2, 5, 8)
        logits[:, 0] = 50
        torch.testing.assert_close(layer(x, tokens, logits), layer(x, tokens))
    assert out.shape == (1, 12, 3, 4)


@pytest.mark.parametrize('kind', ['lite', 'lite2', 'stride1', 'stride2'])
def test_padding_does_not_reach_the_image(kind):
    torch.manual_seed(0)
    layer, stride = {
        'lite': (BneckLite(8, 8, 2), 1),
        'lite2': (BneckLite(8, 8, 2, stride=2), 2),
        'stride1': (Mobile(8, 8, 2, token_dim=8), 1),
        'stride2': (MobileDownsample(8, 12, 2, 3, token_dim=8), 2),
    }[kind]
    for module in layer.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.bias.data.normal_()
    layer.eval()
    tokens = torch.randn(1, 3, 8)
    height, width = (5, 3) if kind == 'lite2' else (6, 4)  # odd, or a convolution of stride 2 does not look outside
    image, logits = torch.randn(1, 8, height, width), torch.randn(1, 3, height, width)
    valid = torch.zeros(1, 1, 10, 8, dtype=torch.bool)
    valid[..., :height, :width] = True
    padded, padded_logits = torch.randn(1, 8, 10, 8), torch.randn(1, 3, 10, 8)
    padded[..., :height, :width], padded_logits[..., :height, :width] = image, logits
    lite = kind.startswith('lite')
    expected = layer(image) if lite else layer(image, tokens, logits)
    actual = layer(padded, valid=valid) if lite else layer(padded, tokens, padded_logits, valid)
    area = (..., slice(-(-height // stride)), slice(-(-width // stride)))
    torch.testing.assert_close(actual[area], expected)
    unmasked = layer(padded) if lite else layer(padded, tokens, padded_logits)
    assert not torch.allclose(unmasked[area], expected)


@pytest.mark.parametrize('size', [(6, 8), (5, 8), (7, 3)])
def test_logits_are_averaged_over_valid_positions(size):
    torch.manual_seed(0)
    logits = torch.randn(1, 2, *size)
    half = tuple(-(-side // 2) for side in size)
    torch.testing.assert_close(halve_logits(logits), torch.nn.functional.adaptive_avg_pool2d(logits, half))
    valid = torch.zeros(1, 1, *size, dtype=torch.bool)
    valid[..., :3, :1] = True
    averaged = halve_logits(logits.masked_fill(~valid, 1e4), valid)
    torch.testing.assert_close(averaged[0, :, 0, 0], logits[0, :, :2, 0].mean(-1))
    assert (averaged[..., 2:] == 0).all()


def test_gradient_at_padding_is_finite_in_half_precision():
    logits = torch.randn(1, 2, 8, 8, dtype=torch.float16, requires_grad=True)
    valid = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    valid[..., :3, :3] = True
    halve_logits(logits, valid).backward(torch.ones(1, 2, 4, 4, dtype=torch.float16))
    assert logits.grad.isfinite().all()
