import torch

from mfdet.layers.pyramid import MaskedGroupNorm, Pyramid, Tower
from mfdet.layers.scales import scales_of


def test_group_norm_does_not_count_padding():
    torch.manual_seed(0)
    norm = MaskedGroupNorm(4, 8)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x, valid = torch.randn(2, 8, 6, 10), torch.zeros(2, 1, 6, 10, dtype=torch.bool)
    valid[0, :, :4, :7] = True
    valid[1] = True
    found = norm(x, valid)
    plain = torch.nn.GroupNorm(4, 8)
    plain.load_state_dict(norm.state_dict())
    torch.testing.assert_close(found[:1, :, :4, :7], plain(x[:1, :, :4, :7]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1:], plain(x[1:]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm(x), plain(x))


def test_an_image_has_the_same_pyramid_alone_and_padded():
    torch.manual_seed(0)
    pyramid, tower = Pyramid([12, 8], 16).eval(), Tower(16, 2)
    alone = torch.randn(1, 8, 4, 6), torch.randn(1, 12, 2, 3)
    padded = [torch.full((1, x.shape[1], 2 * x.shape[2], 2 * x.shape[3]), 7.0) for x in alone]
    for x, part in zip(padded, alone, strict=True):
        x[..., : part.shape[2], : part.shape[3]] = part
    valid = torch.zeros(1, 1, 8, 12, dtype=torch.bool)
    valid[..., :4, :6] = True
    masks = valid[..., ::2, ::2], valid
    maps = pyramid(scales_of(alone, None)), pyramid(scales_of(padded, valid))
    for found, expected, mask in zip(maps[1], maps[0], masks, strict=True):
        found, expected = tower(found, mask), tower(expected)
        rows, columns = expected.shape[2:]
        torch.testing.assert_close(found[..., :rows, :columns], expected, atol=1e-5, rtol=1e-5)
        assert found[..., rows:, :].abs().max() == found[..., columns:].abs().max() == 0
