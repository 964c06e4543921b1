"""One launch for all kernels of a detector: small maps and few tokens leave a GPU waiting for Python."""

import torch

KEPT = 2  # recordings: photographs lie or stand


class CudaGraph:
    """A function of tensors on a GPU whose kernels are recorded once and then launched together (CUDA graphs).

    The first call with inputs of some shapes runs the function as it is, the second records it. A recording holds the
    memory of its maps; the latest :data:`KEPT` are kept. Not for several threads at a time.

    Args:
        function: takes tensors on one GPU and returns tensors, in tuples or lists; it must not wait for the host.
    """

    def __init__(self, function):
        self.function = function
        self.recordings = {}  # kind of inputs to what _record returns, None after the first call

    def __call__(self, *inputs):
        """Return what the function returns; the next call overwrites it."""
        kind = tuple((x.shape, x.dtype, x.device, x.is_contiguous()) for x in inputs)
        with torch.cuda.device(inputs[0].device):
            if kind not in self.recordings:
                while len(self.recordings) >= KEPT:
                    del self.recordings[next(iter(self.recordings))]
                self.recordings[kind] = None
                return self.function(*inputs)
            if self.recordings[kind] is None:
                self.recordings[kind] = self._record(inputs)
            graph, own, outputs = self.recordings[kind]
            for tensor, x in zip(own, inputs, strict=True):
                tensor.copy_(x)
            graph.replay()
            return outputs

    def _record(self, inputs):
        """Return the recording, the tensors that it reads and those that it writes."""
        own = [x.clone() for x in inputs]
        side = torch.cuda.Stream()  # libraries set themselves up there, which may not be recorded
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.function(*own)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            outputs = self.function(*own)
        return graph, own, outputs


def record(graph):
    """Let the part of a :class:`mfdet.export.graph.DetectorGraph` that does not wait for the host be a CUDA graph.

    In place; returns it. Its parameters must need no gradients, as casts of them would be kept and then be freed.
    """
    setattr(graph, graph.recordable, CudaGraph(getattr(graph, graph.recordable)))
    return graph
