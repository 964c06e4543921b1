"""Averages of the weights over the training, for validation and for the checkpoint that is kept."""

from mmengine.hooks import EMAHook
from mmengine.model import BaseAveragedModel
from mmengine.registry import HOOKS, MODELS


@MODELS.register_module()
class PowerEMA(BaseAveragedModel):
    """Exponential moving average whose window is a share of the run so far, so that it fits short and long runs.

    The power function average of Karras et al. (CVPR 2024): after step t, average += (γ + 1) / t · (weights − average),
    at most all of it. The weights in it are t / (γ + 2) steps old on average: a random start is forgotten by itself,
    and no length of the training need be known.

    Args:
        gamma: the larger it is, the younger are the weights averaged; 18 gives a mean age of a twentieth of the run.
        others: of mmengine's BaseAveragedModel; the statistics of BatchNorm are averaged as well by default.
    """

    def __init__(self, model, gamma=18.0, update_buffers=True, **others):
        super().__init__(model, update_buffers=update_buffers, **others)
        self.gamma = gamma

    def avg_func(self, averaged_param, source_param, steps):
        """Move an average towards the weights of a step, in place; both are float tensors of one shape."""
        averaged_param.lerp_(source_param, min(1.0, (self.gamma + 1) / (int(steps) + 1)))


@HOOKS.register_module()
class PowerEMAHook(EMAHook):
    """mmengine's EMAHook with :class:`PowerEMA`, and checkpoints that are right in the midst of a validation too.

    Validation and ``best_*.pth`` have the averaged weights; a run goes on from its own.

    Args:
        gamma: of :class:`PowerEMA`.
        others: of mmengine's EMAHook.
    """

    def __init__(self, gamma=18.0, **others):
        super().__init__(ema_type='PowerEMA', gamma=gamma, **others)
        self.swapped = False

    def _swap_ema_parameters(self):
        super()._swap_ema_parameters()
        self.swapped = not self.swapped

    def before_save_checkpoint(self, runner, checkpoint):
        """Put the averages into ``state_dict`` and the weights of the run into ``ema_state_dict``, as mmengine does."""
        if not self.swapped:
            super().before_save_checkpoint(runner, checkpoint)
            return
        checkpoint['ema_state_dict'] = self.ema_model.state_dict()  # in a validation they have changed places already
