import pytest
import torch
import torch.nn.functional as F

from mfdet.layers import Former


def test_former_equals_torch_attention_and_ffn():
    torch.manual_seed(0)
    layer = Former(token_dim=16)
    tokens = torch.randn(2, 5, 16)
    query = layer.query(tokens).view(2, 5, 4, 4).transpose(1, 2)
    value = tokens.view(2, 5, 4, 4).transpose(1, 2)
    mixed = F.scaled_dot_product_attention(query, value, value).transpose(1, 2).reshape(2, 5, 16)
    expected = layer.norm(tokens + layer.proj(mixed))
    hidden = F.gelu(layer.ffn[0](expected))
    assert hidden.shape[-1] == 32
    expected = layer.ffn_norm(expected + layer.ffn[2](hidden))
    torch.testing.assert_close(layer(tokens), expected)


def test_without_ffn_has_no_ffn_parameters():
    assert not [name for name, _ in Former(16, ffn_ratio=0).named_parameters() if 'ffn' in name]


@pytest.mark.parametrize('token_mixer', ['attention', 'mlp'])
def test_both_mixers_let_tokens_exchange(token_mixer):
    torch.manual_seed(0)
    layer = Former(16, token_mixer=token_mixer, num_tokens=5)
    tokens = torch.randn(1, 5, 16)
    changed = tokens.clone()
    changed[0, 4] += 1
    assert not torch.allclose(layer(tokens)[0, 0], layer(changed)[0, 0])


def test_position_enters_the_attention_but_not_the_residual():
    torch.manual_seed(0)
    layer = Former(token_dim=16, ffn_ratio=0)
    tokens, position = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    torch.testing.assert_close(layer(tokens, position), layer.norm(tokens + layer.attention(tokens + position)))


def test_mask_says_who_may_attend_to_whom():
    torch.manual_seed(0)
    layer = Former(token_dim=16)
    tokens = torch.randn(2, 5, 16)
    mask = torch.zeros(5, 5, dtype=torch.bool)
    mask[:3, :3] = mask[3:, 3:] = True
    out = layer(tokens, mask=mask)
    torch.testing.assert_close(out[:, :3], layer(tokens[:, :3]))
    torch.testing.assert_close(out[:, 3:], layer(tokens[:, 3:]))
    each = torch.stack([mask, torch.ones_like(mask)])[:, None]
    torch.testing.assert_close(layer(tokens, mask=each), torch.stack([out[0], layer(tokens)[1]]))
