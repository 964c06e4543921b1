"""One launch for all kernels of a detector: small maps and few tokens leave a GPU waiting for Python."""

import torch


class CudaGraph:
    """A function of tensors on a GPU whose kernels are recorded once and then launched together (CUDA graphs).

    The first call with inputs of other shapes runs the function as it is, the second records it. A GPU's memory holds
    the maps of the latest recording.

    Args:
        function: takes tensors on the GPU and returns tensors, in tuples or lists; it must not wait for the host.
    """

    def __init__(self, function):
        self.function = function
        self.kind = self.inputs = self.outputs = self.recording = None

    def __call__(self, *inputs):
        """Return what the function returns; the next call overwrites it."""
        kind = [(x.shape, x.dtype, x.device, x.is_contiguous()) for x in inputs]
        if kind != self.kind:
            self.kind, self.inputs, self.outputs, self.recording = kind, None, None, None
            return self.function(*inputs)
        if self.recording is None:
            self._record(inputs)
        for own, x in zip(self.inputs, inputs, strict=True):
            own.copy_(x)
        self.recording.replay()
        return self.outputs

    def _record(self, inputs):
        self.inputs = [x.clone() for x in inputs]
        side = torch.cuda.Stream()  # libraries set themselves up there, which may not be recorded
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.recording):
            self.outputs = self.function(*self.inputs)


def record(graph):
    """Let the part of a :class:`mfdet.export.graph.DetectorGraph` that does not wait for the host be a CUDA graph.

    In place; returns it. Its parameters must need no gradients, as casts of them would be kept and then be freed.
    """
    setattr(graph, graph.recordable, CudaGraph(getattr(graph, graph.recordable)))
    return graph
