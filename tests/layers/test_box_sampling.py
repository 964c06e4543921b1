import torch

from mfdet.layers import BoxSampling


def read_points(x, boxes, extent, valid=None, points=4):
    """Return what a layer reads at each point, (B, M, P², C): its linear layers are made to pass it on."""
    channels = x.shape[1]
    layer = BoxSampling(channels, channels * points**2, points, hidden=channels, reach=1.0)
    layer.reduce.weight.data = torch.eye(channels)
    layer.proj.weight.data = torch.eye(channels * points**2)
    layer.reduce.bias.data.zero_()
    layer.proj.bias.data.zero_()
    layer.norm = torch.nn.Identity()
    queries = torch.zeros(*boxes.shape[:2], channels * points**2)
    return layer(x, queries, boxes, extent, valid).unflatten(-1, (points**2, channels))


def coordinates(height, width):
    """A map whose two channels are x and y of each cell's centre, in cells."""
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing='ij')
    return torch.stack([columns, rows])[None]


def test_points_lie_evenly_in_the_box():
    x, extent = coordinates(12, 16), torch.tensor([[16.0, 12.0]])
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 1 / 3], [0.25, 0.75, 0.125, 0.25]]])
    seen = read_points(x, boxes, extent)
    sides = (torch.arange(4) + 0.5) / 4 - 0.5
    for box, points in zip(boxes[0], seen[0], strict=True):
        centre, size = box[:2] * extent[0], box[2:] * extent[0]
        torch.testing.assert_close(points.view(4, 4, 2)[0, :, 0], centre[0] + sides * size[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(points.view(4, 4, 2)[:, 0, 1], centre[1] + sides * size[1], atol=1e-4, rtol=0)


def test_padding_and_what_lies_outside_read_zero():
    x, extent = coordinates(12, 16), torch.tensor([[8.0, 6.0]])
    valid = torch.zeros(1, 1, 12, 16, dtype=torch.bool)
    valid[..., :6, :8] = True
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.5], [1.5, 0.5, 0.2, 0.2], [-0.5, 0.5, 0.2, 0.2]]])
    seen = read_points(x, boxes, extent, valid)
    torch.testing.assert_close(seen[0, 0], read_points(x[..., :6, :8], boxes, extent)[0, 0])
    assert seen[0, 1:].abs().max() == 0
    assert seen[0, 0].min() > 0
