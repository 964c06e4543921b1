"""A traced graph written in other operations, those that a runtime has."""

import torch
from torch import nn


class Lowering(torch.fx.Interpreter):
    """Runs a traced graph with functions of a table in place of the operations named there.

    ``table`` maps operations to functions of their arguments, which give ``NotImplemented`` to leave one as it is.
    """

    table = {}

    def call_function(self, target, args, kwargs):
        """Return what an operation gives."""
        function = self.table.get(target)
        result = NotImplemented if function is None else function(*args, **kwargs)
        return super().call_function(target, args, kwargs) if result is NotImplemented else result


class Lowered(nn.Module):
    """A detector's traced graph, run by a kind of :class:`Lowering`."""

    def __init__(self, graph, kind):
        super().__init__()
        self.traced = graph
        self.kind = kind
        self.training = False

    def train(self, mode=True):
        """Stay as it was traced."""
        return self

    def forward(self, images, sizes):
        """See :class:`mfdet.export.phone_graph.PhoneGraph`."""
        return self.kind(self.traced, garbage_collect_values=False).run(images, sizes)


def lowered(graph, images, sizes, kind):
    """Trace a graph for one size of images and write it in other operations.

    Args:
        graph: :class:`mfdet.export.phone_graph.PhoneGraph`, in evaluation mode.
        images, sizes: its inputs.
        kind: subclass of :class:`Lowering`.

    Returns:
        A module with the same inputs and outputs, to be traced again.
    """
    with torch.no_grad():
        return Lowered(torch.export.export(graph, (images, sizes)).module(check_guards=False), kind)
