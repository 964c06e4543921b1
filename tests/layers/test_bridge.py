import torch
import torch.nn.functional as F

from mfdet.layers import FormerToMobile, MobileToFormer


def test_mobile_to_former_equals_torch_attention_gated():
    torch.manual_seed(0)
    layer = MobileToFormer(channels=12, token_dim=8)
    x, tokens = torch.randn(2, 12, 4, 5), torch.randn(2, 3, 8)
    out, logits = layer(x, tokens)
    value = x.flatten(2).transpose(1, 2).view(2, 20, 2, 6).transpose(1, 2)
    query = layer.query(tokens).view(2, 3, 2, 6).transpose(1, 2)
    update = F.scaled_dot_product_attention(query, value, value).transpose(1, 2).reshape(2, 3, 12)
    gate = 2 * (layer.gate(tokens) + 3).clamp(0, 6) / 6
    expected = F.layer_norm(tokens + layer.proj(update * gate), (8,), layer.norm.weight, layer.norm.bias)
    torch.testing.assert_close(out, expected)
    mean_logits = (query @ value.transpose(-1, -2) / 6**0.5).mean(1).view(2, 3, 4, 5)
    torch.testing.assert_close(logits, mean_logits)


def test_former_to_mobile_equals_torch_attention():
    torch.manual_seed(0)
    layer = FormerToMobile(channels=12, token_dim=8)
    x, tokens = torch.randn(2, 12, 4, 5), torch.randn(2, 3, 8)
    query = x.flatten(2).transpose(1, 2).view(2, 20, 2, 6).transpose(1, 2)
    key = layer.key(tokens).view(2, 3, 2, 6).transpose(1, 2)
    value = layer.value(tokens).view(2, 3, 2, 6).transpose(1, 2)
    update = F.scaled_dot_product_attention(query, key, value)  # (2, 2, 20, 6)
    expected = x + update.transpose(2, 3).reshape(2, 12, 4, 5)
    torch.testing.assert_close(layer(x, tokens), expected)


def test_mobile_to_former_adds_positions_to_the_query_alone():
    torch.manual_seed(0)
    layer = MobileToFormer(channels=12, token_dim=8)
    x, tokens, position = torch.randn(2, 12, 4, 5), torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    _, logits = layer(x, tokens, position)
    torch.testing.assert_close(logits, layer(x, tokens + position)[1])
    torch.testing.assert_close(layer(x, tokens, torch.zeros_like(position))[0], layer(x, tokens)[0])
    layer.query.weight.data.zero_()  # uniform attention: what is left of the position would show
    torch.testing.assert_close(layer(x, tokens, position)[0], layer(x, tokens)[0])


def test_mobile_to_former_does_not_see_padding():
    torch.manual_seed(0)
    layer = MobileToFormer(channels=12, token_dim=8)
    x, tokens = torch.randn(2, 12, 4, 5), torch.randn(2, 3, 8)
    valid = torch.ones(2, 1, 4, 5, dtype=torch.bool)
    valid[0, :, 3:] = valid[0, :, :, 2:] = False
    out, _ = layer(x, tokens, valid=valid)
    torch.testing.assert_close(out[:1], layer(x[:1, :, :3, :2], tokens[:1])[0])
    torch.testing.assert_close(out[1:], layer(x[1:], tokens[1:])[0])


def test_former_to_mobile_adds_positions_to_the_key_alone():
    torch.manual_seed(0)
    layer = FormerToMobile(channels=12, token_dim=8)
    x, tokens, position = torch.randn(2, 12, 4, 5), torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    assert not torch.allclose(layer(x, tokens, position), layer(x, tokens))
    layer.key.weight.data.zero_()
    torch.testing.assert_close(layer(x, tokens, position), layer(x, tokens))
