import pytest
import torch

from mfdet.layers import DynamicReLU, StaticReLU


@pytest.fixture
def relu():
    torch.manual_seed(0)
    module = DynamicReLU(channels=5, token_dim=8)
    with torch.no_grad():  # wide enough for the slopes to reach their bounds
        for parameter in module.parameters():
            parameter.normal_(std=2)
    return module


def test_equals_the_equation(relu):
    x, tokens = torch.randn(2, 5, 3, 4), torch.randn(2, 6, 8)
    hidden = (tokens[:, 0] @ relu.reduce.weight.T + relu.reduce.bias).clamp(min=0)
    h = ((hidden @ relu.expand.weight.T + relu.expand.bias + 3).clamp(0, 6) / 6)[..., None, None]
    a1, a2 = 2 * (h[:, :5] - 0.5) + 1, 2 * (h[:, 5:] - 0.5)
    torch.testing.assert_close(relu(x, tokens), torch.maximum(a1 * x, a2 * x))
    assert a1.min() >= 0
    assert a1.max() <= 2
    assert a2.abs().max() <= 1


def test_spatial_aware_with_one_token_everywhere_equals_that_token(relu):
    x, tokens = torch.randn(2, 5, 3, 4), torch.randn(2, 6, 8)
    mixing = torch.zeros(2, 6, 3, 4)
    mixing[:, 2] = 1
    torch.testing.assert_close(relu(x, tokens, mixing), relu(x, tokens[:, 2:]))


def test_spatial_aware_mixes_coefficients_position_by_position(relu):
    x, tokens = torch.randn(1, 5, 1, 2), torch.randn(1, 2, 8)
    mixing = torch.tensor([[0.25, 1.0], [0.75, 0.0]]).view(1, 2, 1, 2)
    h = 0.25 * relu.coefficients(tokens[0, 0]) + 0.75 * relu.coefficients(tokens[0, 1])
    expected = torch.maximum(2 * h[:5] * x[0, :, 0, 0], (2 * h[5:] - 1) * x[0, :, 0, 0])
    out = relu(x, tokens, mixing)
    torch.testing.assert_close(out[0, :, 0, 0], expected)
    torch.testing.assert_close(out[..., 1], relu(x, tokens)[..., 1])


def test_static_relu_has_the_same_call():
    x = torch.randn(1, 2, 3, 3)
    torch.testing.assert_close(StaticReLU()(x, None, None), x.clamp(min=0))


def test_mixing_the_hidden_layer_equals_mixing_the_output_where_hsigmoid_is_linear():
    torch.manual_seed(0)
    output, hidden = DynamicReLU(5, 8), DynamicReLU(5, 8, mix_hidden=True)
    hidden.load_state_dict(output.state_dict())
    x, tokens = torch.randn(2, 5, 3, 4), torch.randn(2, 6, 8)
    mixing = torch.randn(2, 6, 3, 4).softmax(1)
    torch.testing.assert_close(hidden(x, tokens, mixing), output(x, tokens, mixing))
    for relu in (output, hidden):
        relu.expand.weight.data *= 100
    assert not torch.allclose(hidden(x, tokens, mixing), output(x, tokens, mixing))
