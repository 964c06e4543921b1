"""What backbones that are a chain of stages have in common: which maps they return, and what of them is frozen."""

from mmengine.model import BaseModule
from torch.nn.modules.batchnorm import _BatchNorm

from mfdet.errors import InputError


class StagedBackbone(BaseModule):
    """A chain of stages, each of which halves the map, with mmdet's usual options.

    A subclass says by :attr:`stages` which of its children belong to which stage.

    Args:
        out_indices: stages to return the maps of, 0 to 3 for strides 4, 8, 16 and 32. Later ones are not run.
        frozen_stages: −1 trains everything, 0 freezes what is before stride 4, 1 also the stage at stride 4, up to 4
            for all.
        norm_eval: keep BatchNorm statistics fixed in training.
        init_cfg: of mmengine.

    Attributes:
        stages: lists of modules that run one after the other: what is before stride 4, then stages 0 to 3.

    Raises:
        InputError: ``out_indices`` or ``frozen_stages`` is out of its range.
    """

    def __init__(self, out_indices, frozen_stages, norm_eval, init_cfg):
        super().__init__(init_cfg)
        if not out_indices or not set(out_indices) <= set(range(4)):
            raise InputError(f'out_indices must be some of 0, 1, 2 and 3, got {out_indices}')
        if frozen_stages not in range(-1, 5):
            raise InputError(f'frozen_stages must be -1 to 4, got {frozen_stages}')
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

    def train(self, mode=True):
        """Set training mode, keeping frozen stages and, with ``norm_eval``, all BatchNorms in evaluation mode."""
        super().train(mode)
        for module in (module for stage in self.stages[: self.frozen_stages + 1] for module in stage):
            module.eval()
            module.requires_grad_(False)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, x):
        """Return the maps at ``out_indices``, (B, C, H, W) from fine to coarse, of images x (B, 3, H, W)."""
        outputs = []
        for i, stage in enumerate(self.stages[: max(self.out_indices) + 2], start=-1):
            for module in stage:
                x = module(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
