"""Several processes that train as one: what mmengine and torch leave to do on CPUs."""

import atexit
import contextlib
import os
import sys

import torch
from mmengine import dist
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mfdet.errors import InputError


def bare(model):
    """Return the model inside the wrapper that several processes train it in, or the model itself."""
    return model.module if is_model_wrapper(model) else model


def any_process(flag):
    """Tell whether ``flag`` is true in any process of the training."""
    if dist.get_world_size() == 1:
        return flag
    votes = torch.tensor([float(flag)], device=dist.get_comm_device())
    dist.all_reduce(votes)
    return bool(votes.item())


@contextlib.contextmanager
def telling_of_the_dead(advice):
    """Raise an InputError in place of gloo's error about a connection that another process has closed or reset.

    Args:
        advice: what the user can do then.
    """
    try:
        yield
    except RuntimeError as error:
        if 'by peer' not in str(error):
            raise
        raise InputError(
            f'another process has died, see its own message or what torchrun says of it; {advice}'
        ) from error


def leave(code):
    """End this process of several with an exit code, at once after what Python runs and flushes at its end.

    DistributedDataParallel keeps gloo's threads running: C++ alone holds their process group, which outlives
    ``destroy_process_group``. An operation holds the Python context of its backward pass; a thread that is the last to
    let go of one needs Python's lock, while the interpreter is taken down it is ended there, inside a destructor, and
    that aborts the process with "terminate called without an active exception", in up to a quarter of the runs. So the
    interpreter is not taken down.
    """
    if code == 0:  # after an error the others may be gone, and NCCL would wait for them
        torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # whoever read it has gone
            stream.flush()
    os._exit(code)


class _SumOverProcesses(torch.autograd.Function):
    """Sum a tensor over the processes; the gradient is summed likewise."""

    @staticmethod
    def forward(ctx, x):
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad):
        total = grad.clone()
        dist.all_reduce(total)
        return total


class CPUSyncBatchNorm(_BatchNorm):
    """BatchNorm with the statistics of all processes, as ``torch.nn.SyncBatchNorm``, which is for GPUs alone."""

    def _check_input_dim(self, x):
        """Take any number of dimensions."""

    def forward(self, x):
        """Normalise x (B, C) or (B, C, ...); all but C may differ between processes."""
        if not self.training or dist.get_world_size() == 1:
            return super().forward(x)
        count = _SumOverProcesses.apply(x.new_tensor([x.numel() / x.shape[1]]))
        others = [dim for dim in range(x.ndim) if dim != 1]
        along = (-1, *[1] * (x.ndim - 2))  # how a value for each channel stands beside x
        mean = _SumOverProcesses.apply(x.sum(others)) / count
        centred = x - mean.view(along)
        var = _SumOverProcesses.apply(centred.square().sum(others)) / count
        if self.track_running_stats:
            self.num_batches_tracked.add_(1)
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            with torch.no_grad():
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(var * count / (count - 1), share)
        scale = torch.rsqrt(var + self.eps)
        if not self.affine:
            return centred * scale.view(along)
        return centred * (scale * self.weight).view(along) + self.bias.view(along)


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper for processes that train on CPUs.

    Args:
        module: the model.
        device_ids: mmengine gives those of a GPU; they are not used.
        sync_bn: give BatchNorm the statistics of all processes; the names of the weights stay as they are.
    """

    def __init__(self, module, device_ids=None, sync_bn=False):
        if sync_bn:
            for layer in module.modules():
                if type(layer) in (nn.BatchNorm1d, nn.BatchNorm2d):
                    layer.__class__ = CPUSyncBatchNorm
        super().__init__(module, device_ids=None, broadcast_buffers=False)
