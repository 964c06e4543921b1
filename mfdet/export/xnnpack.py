"""Operations of a traced graph in terms of those that XNNPACK runs, the kernels of LiteRT and ExecuTorch on a CPU.

A table of decompositions, so that the layers stay as they are. XNNPACK has no booleans: masks are numbers, 0 and 1.
Softmax is over the last axis, and sums over other axes than those of a map are products. Graphs are of single images.
"""

import functools
import itertools
import math

import torch
import torch.nn.functional as F

from mfdet.export.lowering import Lowering, lowered

aten = torch.ops.aten
FAR = 1e9  # in place of infinity, which times 0 is no number
STEEP = 1e30  # what makes more than 1 of any difference between numbers


def number(x):
    """Return a tensor as float32, or a number so that it is finite."""
    if not isinstance(x, torch.Tensor):
        return max(-FAR, min(FAR, float(x)))
    return x if x.dtype == torch.float32 else x.float()


def positive(x):
    """Return 1 where x is above 0, else 0."""
    return 1.0 - F.relu(1.0 - F.relu(x) * STEEP)


def greater(a, b):
    """``a > b`` as a number."""
    return positive(number(a) - number(b))


def not_less(a, b):
    """``a >= b`` as a number."""
    return 1.0 - positive(number(b) - number(a))


def equal(a, b):
    """``a == b`` as a number."""
    return 1.0 - positive((number(a) - number(b)).abs())


def negated(x):
    """Return the opposite of a mask."""
    return 1.0 - number(x)


def chosen(mask, x, other):
    """``torch.where`` with a mask of numbers."""
    mask, x, other = number(mask), number(x), number(other)
    return mask * x + (1.0 - mask) * other


def padded(x, pads, mode='constant', value=None):
    """Pad with a finite number."""
    return NotImplemented if value is None or abs(value) <= FAR else F.pad(x, pads, mode, number(value))


def softmax(x, dim, dtype=None):
    """Softmax, over the last axis."""
    dim %= x.dim()
    if dim == x.dim() - 1:
        return NotImplemented
    # In matrices, as ExecuTorch mistakes the axis where a map has come out of a convolution.
    before, count, after = math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 :])
    return x.reshape(before, count, after).transpose(1, 2).softmax(-1).transpose(1, 2).reshape(x.shape)


def product(a, b):
    """Product of as many matrices as others, in a few equal parts where there is one pair of them.

    As one it would be a fully connected layer to LiteRT, and XNNPACK takes none whose weights change.
    """
    if a.dim() < 3 or a.shape[:-2] != b.shape[:-2]:
        return NotImplemented
    shape = *a.shape[:-1], b.shape[-1]
    a, b = a.flatten(0, -3), b.flatten(0, -3)
    if len(a) == 1:
        _, count, channels = a.shape
        parts = next((n for n in range(2, count) if count % n == 0), 1)
        a, b = a.reshape(parts, -1, channels), expanded(b, (parts, -1, -1))
    return torch.bmm(a, b).reshape(shape)


def mean_of_rows(x):
    """Return the mean over the last axis, which stays, as a product."""
    return F.linear(x, torch.full((1, x.shape[-1]), 1 / x.shape[-1]))


def mean(x, dims, keepdim=False, *, dtype=None):
    """Mean; over the axes of a map as it is, over others by products."""
    dims = sorted(dim % x.dim() for dim in dims)
    if x.dim() == 4 and dims == [2, 3]:
        return NotImplemented if keepdim else x.mean(dims, keepdim=True).reshape(x.shape[:2])
    kept = [dim for dim in range(x.dim()) if dim not in dims]
    shape = [1 if dim in dims else x.shape[dim] for dim in range(x.dim())]
    if len(dims) == 1 and x.shape[dims[0]] <= 4:  # such as over two heads
        parts = (x.narrow(dims[0], i, 1) for i in range(x.shape[dims[0]]))
        y = functools.reduce(torch.add, parts) * (1 / x.shape[dims[0]])
    else:
        rows = x if dims == [x.dim() - 1] else x.permute(*kept, *dims).flatten(len(kept))
        y = mean_of_rows(rows).reshape(shape)
    return y if keepdim else y.reshape([x.shape[dim] for dim in kept])


def total(x, dims, keepdim=False, *, dtype=None):
    """Sum, by way of :func:`mean`."""
    x = number(x)
    average = mean(x, dims, keepdim)
    average = x.mean(dims, keepdim) if average is NotImplemented else average
    return average * float(math.prod(x.shape[dim] for dim in dims))


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    """LayerNorm over the last axis."""
    if len(shape) > 1 or weight is None:
        return NotImplemented
    centred = x - mean_of_rows(x)
    return centred * torch.rsqrt(mean_of_rows(centred * centred) + eps) * weight + bias


def group_norm(x, groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    """GroupNorm of a map: statistics by channel first."""
    if x.dim() != 4 or weight is None:
        return NotImplemented
    width = x.shape[1] // groups
    share = torch.block_diag(*[torch.full((width, width), 1 / width)] * groups)  # (C, C)

    def mean(y):
        return F.conv2d(y.mean((2, 3), keepdim=True), share.reshape(*share.shape, 1, 1))

    centred = x - mean(x)
    weight, bias = (x.reshape(-1, 1, 1) for x in (weight, bias))
    return centred * torch.rsqrt(mean(centred * centred) + eps) * weight + bias


def hardsigmoid(x):
    """Hard sigmoid by ReLU6."""
    return F.relu6(x + 3.0) * (1 / 6)


def clamped(x, low=None, high=None):
    """Clamp to 0 and 1, for which LiteRT has an operator that XNNPACK has not, by ReLU6."""
    return F.relu6(x * 6.0) * (1 / 6) if (low, high) == (0, 1) else NotImplemented


def quotient(x, count):
    """``x // count``; for indices, which are below 2 ** 22, by way of numbers with fractions."""
    if x.is_floating_point():
        return torch.floor(x / count)
    return ((number(x) + 0.5) * (1 / count)).to(x.dtype)


def softplus(x, beta=1, threshold=20):
    """Softplus of exponentials that do not overflow."""
    if beta != 1:
        return NotImplemented
    return F.relu(x) + torch.log(1.0 + torch.exp(-x.abs()))


def nearest(x, size, scales=None):
    """Enlarge a map to twice its size by repeating its cells."""
    batch, channels, height, width = x.shape
    if (list(size) if size else [height * scales[0], width * scales[1]]) != [2 * height, 2 * width]:
        return NotImplemented
    rows = torch.cat([x.permute(0, 2, 3, 1)] * 2, 3).reshape(batch, height, 1, 2 * width * channels)
    return torch.cat([rows] * 2, 2).reshape(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


def split(x, size, dim=0):
    """Split into slices, as ExecuTorch has no parts of a tensor in XNNPACK otherwise."""
    return [x.narrow(dim, i, min(size, x.shape[dim] - i)) for i in range(0, x.shape[dim], size)]


def chunked(x, count, dim=0):
    """``torch.chunk`` as slices."""
    return split(x, -(-x.shape[dim] // count), dim)


def selected(x, dim, index):
    """``x.select(dim, index)`` as a slice."""
    return x.narrow(dim, index, 1).reshape(*x.shape[: dim % x.dim()], *x.shape[dim % x.dim() + 1 :])


def unsqueezed(x, dim):
    """``x.unsqueeze(dim)`` as another shape of the same."""
    dim %= x.dim() + 1
    return x.reshape(*x.shape[:dim], 1, *x.shape[dim:])


def stacked(parts, dim=0):
    """``torch.stack`` as a concatenation."""
    return torch.cat([unsqueezed(part, dim) for part in parts], dim)


def expanded(x, sizes, implicit=False):
    """Repeat along axes of one; LiteRT confuses axes when it moves a broadcast past other operations."""
    x = x.reshape(*[1] * (len(sizes) - x.dim()), *x.shape)
    for dim, size in enumerate(sizes):
        if size not in (-1, x.shape[dim]):
            x = torch.cat([x, *(x * 1.0 for _ in range(size - 1))], dim)  # ExecuTorch joins different tensors only
    return x


def sampled(x, grid, mode, padding, align_corners):
    """Bilinear sampling of one map in four rows for each point, those of the cells around it."""
    if (mode, padding, align_corners) != (0, 0, False):
        return NotImplemented
    _, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(height * width, channels)
    column, row = ((grid.narrow(-1, i, 1) + 1.0) * (side / 2) - 0.5 for i, side in enumerate((width, height)))
    result = 0
    for across, down in itertools.product((0.0, 1.0), repeat=2):
        x_cell, y_cell = torch.floor(column) + across, torch.floor(row) + down
        x_near, y_near = x_cell.clamp(0.0, width - 1.0), y_cell.clamp(0.0, height - 1.0)
        weight = (1.0 - (column - x_cell).abs()) * (1.0 - (row - y_cell).abs())
        weight = weight * equal(x_cell, x_near) * equal(y_cell, y_near)  # what is beyond the map is 0
        index = (y_near * float(width) + x_near).to(torch.int64)
        result = result + F.embedding(index.flatten(), rows) * weight.reshape(-1, 1)
    return result.reshape(1, *grid.shape[1:3], channels).permute(0, 3, 1, 2)


def indexed(x, indices):
    """Take rows of a matrix; in any other way LiteRT checks the indices first."""
    if x.dim() != 2 or len(indices) != 1:
        return NotImplemented
    return F.embedding(indices[0], x)


def converted(x, dtype, *args, **kwargs):
    """Leave out conversions that change nothing, now that masks are numbers."""
    return x if dtype in (x.dtype, torch.bool) else NotImplemented


def same(x, *args, **kwargs):
    """Return x itself."""
    return x


TABLE = {
    aten.gt.Tensor: greater,
    aten.gt.Scalar: greater,
    aten.ge.Tensor: not_less,
    aten.ge.Scalar: not_less,
    aten.lt.Tensor: lambda a, b: greater(b, a),
    aten.lt.Scalar: lambda a, b: greater(b, a),
    aten.le.Tensor: lambda a, b: not_less(b, a),
    aten.le.Scalar: lambda a, b: not_less(b, a),
    aten.eq.Tensor: equal,
    aten.eq.Scalar: equal,
    aten.__and__.Tensor: lambda a, b: number(a) * number(b),
    aten.__or__.Tensor: lambda a, b: torch.maximum(number(a), number(b)),
    aten.bitwise_not.default: negated,
    aten.logical_not.default: negated,
    aten.masked_fill.Scalar: lambda x, mask, value: chosen(mask, value, x),
    aten.where.self: chosen,
    aten.where.ScalarSelf: chosen,
    aten.where.ScalarOther: chosen,
    aten.pad.default: padded,
    aten.matmul.default: product,
    aten.softmax.int: softmax,
    aten.mean.dim: mean,
    aten.sum.dim_IntList: total,
    aten.layer_norm.default: layer_norm,
    aten.group_norm.default: group_norm,
    aten.hardsigmoid.default: hardsigmoid,
    aten.clamp.default: clamped,
    aten.floor_divide.default: quotient,
    aten.remainder.Scalar: lambda x, count: x - quotient(x, count) * count,
    aten.softplus.default: softplus,
    aten.square.default: lambda x: x * x,
    aten.reciprocal.default: lambda x: torch.ones(1) / x,
    aten.upsample_nearest2d.vec: nearest,
    aten.chunk.default: chunked,
    aten.split.Tensor: split,
    aten.unbind.int: lambda x, dim=0: [selected(x, dim, i) for i in range(x.shape[dim])],
    aten.select.int: selected,
    aten.unsqueeze.default: unsqueezed,
    aten.stack.default: stacked,
    aten.to.dtype: converted,
    aten.alias.default: same,
    aten.detach.default: same,
    aten.expand.default: expanded,
    aten.grid_sampler.default: sampled,
    aten.index.Tensor: indexed,
    aten._assert_tensor_metadata.default: lambda *args, **kwargs: None,
}


class XnnpackLowering(Lowering):
    """Runs a traced graph with the operations of :data:`TABLE`."""

    table = TABLE

    def run_node(self, node):
        """Run an operation; rows that are gathered for a single image are taken as :func:`indexed` does."""
        if node.target == aten.gather.default and node.args[1] == 1:
            x, index = self.env[node.args[0]], node.args[2]
            if x.dim() == 2 and len(x) == 1:
                return x.flatten().index_select(0, self.env[index].flatten()).reshape(1, -1)
            if x.dim() == 3 and len(x) == 1 and index.target == aten.expand.default:  # the same for all of a row
                rows = self.env[index.args[0]]
                if rows.dim() == 3 and rows.shape[2] == 1:
                    return F.embedding(rows.flatten(), x.flatten(0, 1)).reshape(1, rows.shape[1], -1)
        return super().run_node(node)


def for_xnnpack(graph, images, sizes):
    """Trace a graph for one size of images and write it in operations that XNNPACK runs.

    Args:
        graph: :class:`mfdet.export.phone_graph.PhoneGraph`, in evaluation mode.
        images, sizes: its inputs.

    Returns:
        A module with the same inputs and outputs, to be traced again.
    """
    return lowered(graph, images, sizes, XnnpackLowering)
