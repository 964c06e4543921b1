"""Each operation written anew gives what it gives by itself, and the table leaves nothing of its kind."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mfdet.export.xnnpack import TABLE, for_xnnpack

X = torch.randn(1, 8, 6, 4, generator=torch.Generator().manual_seed(0))
WEIGHT, BIAS = torch.linspace(0.5, 1.5, 8), torch.linspace(-1, 1, 8)
OPERATIONS = dict(
    masked_fill=lambda x: x.masked_fill(~(x < x.amax(-1, keepdim=True)), -math.inf).softmax(-1),
    where=lambda x: torch.where((x >= 0) & (x < 1) | (x == x.amax(1, keepdim=True)), x, x - 10),
    equal_numbers=lambda x: torch.where(x.round() == 1, 1.0, x),
    not_above=lambda x: (x <= 0.25).float() + (x.round() <= 1),
    infinite_padding=lambda x: F.pad(x, (0, 2), value=-math.inf).masked_fill(~(F.pad(x, (0, 2)) > 0), 0.0),
    softmax_over_channels=lambda x: x.softmax(1),
    matrices=lambda x: x.flatten(2).transpose(1, 2) @ x.flatten(2),
    matrices_of_heads=lambda x: x[:, :4].transpose(2, 3) @ x[:, 4:],
    heads=lambda x: x.flatten(2).unflatten(1, (2, 4)).mean(1),
    mean_of_many=lambda x: x.mean(1, keepdim=True),
    mean_of_map=lambda x: x.mean((2, 3)),
    sum_of_mask=lambda x: (x > 0).sum((2, 3), keepdim=True) / 3,
    sum_of_rows=lambda x: x[0, 0].sum(-1),
    group_norm=lambda x: F.group_norm(x, 4, WEIGHT, BIAS),
    layer_norm=lambda x: F.layer_norm(x.flatten(2).transpose(1, 2), [8], WEIGHT, BIAS),
    hardsigmoid=lambda x: F.hardsigmoid(3 * x),
    clamp=lambda x: (3 * x).clamp(0, 1) + x.clamp(-1, 1) + x.clamp(min=0),
    softplus=lambda x: F.softplus(40 * x),
    square=lambda x: x.square() + (x + 9).reciprocal(),
    halved=lambda x: F.avg_pool2d(x, 2).softmax(1),
    nearest=lambda x: F.interpolate(x, scale_factor=2.0),
    parts=lambda x: torch.stack([*x.chunk(3, 1)[0].unbind(1), *x.split(3, 2)[1][:, 0:2].unbind(1)][:2], -1),
    rows=lambda x: x.flatten(2).gather(1, x[:, 0, 0].topk(3).indices[..., None].expand(-1, -1, 24)),
    numbers=lambda x: x.flatten(1).gather(1, x[:, 0, 0].topk(3).indices),
    matrix=lambda x: x.flatten(2)[0][x[0, 0, 0].topk(3).indices],
    repeated=lambda x: x[:, :1].expand(-1, 5, -1, -1) + x[0, 0, :1].expand(1, 5, 6, -1),
    sampling=lambda x: F.grid_sample(x, 1.3 * x.tanh()[:, :2].permute(0, 2, 3, 1), align_corners=False),
    fractions=lambda x: (9 * x) // 4 + (9 * x) % 4,
    index=lambda x: x.flatten(1).topk(20).indices // 7 + x.flatten(1).topk(20).indices % 5,
)

aten = torch.ops.aten
SOMETIMES = {  # left as they are where XNNPACK has them
    aten.softmax.int,
    aten.mean.dim,
    aten.matmul.default,
    aten.clamp.default,
    aten.pad.default,
    aten.to.dtype,
    aten._assert_tensor_metadata.default,
}


class Operation(nn.Module):
    """One of the operations, on a map; the sizes do not matter."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, images, sizes):
        """Run it."""
        return self.run(images)


@pytest.mark.parametrize('name', OPERATIONS)
def test_it_gives_the_same_without_what_xnnpack_lacks(name):
    operation, inputs = Operation(OPERATIONS[name]).eval(), (X, torch.zeros(1, 2))
    lowered = for_xnnpack(operation, *inputs)
    torch.testing.assert_close(lowered(*inputs), operation(*inputs), check_dtype=False)
    nodes = [node for node in torch.export.export(lowered, inputs).graph.nodes if node.op == 'call_function']
    values = [node.meta['val'] for node in nodes if isinstance(node.meta.get('val'), torch.Tensor)]
    assert not any(value.dtype == torch.bool for value in values)
    assert not {node.target for node in nodes} & set(TABLE) - SOMETIMES


def test_only_what_differs_is_written_anew():
    inputs = X, torch.zeros(1, 2)
    lowered = for_xnnpack(Operation(lambda x: x.softmax(-1) + x.mean((2, 3), keepdim=True)).eval(), *inputs)
    found = {
        str(node.target) for node in torch.export.export(lowered, inputs).graph.nodes if node.op == 'call_function'
    }
    assert found == {'aten.softmax.int', 'aten.mean.dim', 'aten.add.Tensor'}
