"""Blocks in strips: the same numbers as the blocks, with no seam between the strips."""

import copy

import pytest
import torch

from mfdet.layers import BneckLite, Mobile, MobileDownsample
from mfdet.models import strips
from mfdet.models.fuse import fold
from mfdet.models.strips import IN_STRIPS, reach

BLOCKS = {
    'lite': lambda: BneckLite(6, 6, 3),
    'lite, stride 2': lambda: BneckLite(6, 8, 2, stride=2),
    'mobile': lambda: Mobile(6, 6, 4, 16),
    'mobile, groups': lambda: Mobile(6, 8, 4, 16, groups=2),
    'mobile, mixed hidden': lambda: Mobile(6, 6, 4, 16, mix_hidden=True),
    'downsample': lambda: MobileDownsample(6, 10, 3, 2, 16),
    'downsample, groups': lambda: MobileDownsample(6, 10, 4, 4, 16, groups=2),
}


def in_strips(block, strip_size):
    """A copy of a block in strips."""
    wrapper = torch.nn.Sequential(copy.deepcopy(block))
    return IN_STRIPS[type(block)](fold(wrapper)[0], strip_size)


@pytest.mark.parametrize('kind', BLOCKS)
@pytest.mark.parametrize('spatial_aware', [False, True])
@pytest.mark.parametrize('padded', [False, True])
@pytest.mark.parametrize('size', [(24, 14), (33, 9)])
def test_a_block_in_strips_equals_the_block(kind, spatial_aware, padded, size):
    torch.manual_seed(0)
    block = BLOCKS[kind]().eval()
    x = torch.randn(2, 6, *size)
    valid = torch.ones(2, 1, *size, dtype=torch.bool)
    valid[1, :, 15:] = valid[1, :, :, 7:] = False
    arguments = dict(valid=valid if padded else None)
    if 'lite' not in kind:
        arguments |= dict(tokens=torch.randn(2, 5, 16), logits=torch.randn(2, 5, *size) if spatial_aware else None)
    expected = block(x, **arguments)
    for rows in (100, 8, 4):
        hidden = expected.shape[3] * expected.shape[0] * 24  # numbers of a row of the widest map, roughly
        torch.testing.assert_close(in_strips(block, rows * hidden)(x, **arguments), expected, rtol=1e-4, atol=1e-5)


def test_a_seam_shows_without_the_rows_that_two_strips_need(monkeypatch):
    block, x = Mobile(6, 6, 4, 16).eval(), torch.randn(1, 6, 24, 14)
    tokens = torch.randn(1, 5, 16)
    torch.testing.assert_close(in_strips(block, 2000)(x, tokens), block(x, tokens))
    monkeypatch.setattr(strips, 'reach', lambda rows, stride, height: (rows, (1, 1)))
    assert not torch.allclose(in_strips(block, 2000)(x, tokens), block(x, tokens), atol=1e-3)


def test_reach_names_the_rows_a_convolution_reads_and_those_beyond_the_map():
    assert reach(slice(0, 10), 1, 10) == (slice(0, 10), (1, 1))
    assert reach(slice(4, 6), 1, 10) == (slice(3, 7), (0, 0))
    assert reach(slice(0, 3), 2, 10) == (slice(0, 6), (1, 0))
    assert reach(slice(3, 5), 2, 10) == (slice(5, 10), (0, 0))
    assert reach(slice(3, 5), 2, 9) == (slice(5, 9), (0, 1))


def test_an_expanding_convolution_as_a_repetition_has_the_same_channels_in_another_order():
    block = torch.nn.Sequential(BneckLite(4, 4, 3)).eval()
    repeated = fold(copy.deepcopy(block))[0].depthwise
    assert repeated.repeats == 3
    x = torch.randn(2, 4, 7, 5)
    torch.testing.assert_close(repeated(x), block[0].depthwise(x)[:, repeated.order], rtol=1e-4, atol=1e-5)
