import pytest
import torch

from mfdet.layers import Mobile, MobileFormerBlock


def make_block():
    torch.manual_seed(0)
    return MobileFormerBlock(Mobile(8, 8, 2, token_dim=8), 8, 8, token_dim=8, spatial_aware=True).eval()


@pytest.mark.parametrize('drivers', [1, 3])
def test_tokens_past_the_drivers_change_neither_map_nor_others(drivers):
    block = make_block()
    x, tokens, position = torch.randn(2, 8, 5, 6), torch.randn(2, 4, 8), torch.randn(2, 4, 8)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[:drivers, :drivers] = mask[drivers:, drivers:] = True
    actual_map, actual_tokens = block(x, tokens, position=position, mask=mask, drivers=drivers)
    expected_map, expected_tokens = block(x, tokens[:, :drivers], position=position[:, :drivers])
    torch.testing.assert_close(actual_map, expected_map)
    torch.testing.assert_close(actual_tokens[:, :drivers], expected_tokens)


def test_position_code_enters_mobile_to_former_alone():
    block = make_block()
    x, tokens, code = torch.randn(2, 8, 5, 6), torch.randn(2, 4, 8), torch.randn(1, 8, 5, 6)
    _, actual = block(x, tokens, map_code=code)
    expected, logits = block.mobile_to_former(x + code, tokens)
    expected = block.former(expected)
    torch.testing.assert_close(actual, expected)
    actual_map, _ = block(x, tokens, map_code=code)
    torch.testing.assert_close(actual_map, block.former_to_mobile(block.mobile(x, expected, logits), expected))


def test_without_mobile_the_map_stays():
    block = MobileFormerBlock(None, 8, 8, token_dim=8).eval()
    x, tokens = torch.randn(2, 8, 5, 6), torch.randn(2, 4, 8)
    same, changed = block(x, tokens)
    assert same is x
    assert not torch.allclose(changed, tokens)
    assert not [name for name, _ in block.named_parameters() if name.startswith('former_to_mobile')]
