import torch

from mfdet.layers.position import PositionCode


def test_position_code_is_that_of_the_place_in_the_image():
    code_of = PositionCode(16)
    extent = torch.tensor([[6.0, 4.0]])
    code = code_of(torch.empty(1, 16, 4, 6), extent)
    assert code.shape == (1, 16, 4, 6)
    torch.testing.assert_close(code[:, :8], code[:, 8:])  # each head has all of it
    padded = code_of(torch.empty(1, 16, 8, 8), extent)
    torch.testing.assert_close(padded[..., :4, :6], code)
    flat = code[0, :8].flatten(1)
    assert torch.cdist(flat.T, flat.T).add(torch.eye(24)).min() > 1e-2  # no two places have the same
    # A map of three times the cells has the same centres at every third of them.
    extent = torch.tensor([[3.5, 2.5]])
    few, many = code_of(torch.empty(1, 16, 3, 4), extent), code_of(torch.empty(1, 16, 9, 12), 3 * extent)
    torch.testing.assert_close(many[..., 1::3, 1::3], few)
