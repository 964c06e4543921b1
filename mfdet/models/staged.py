"""What backbones that are a plain chain of stages have in common."""

from mfdet.models.backbone import Backbone


class StagedBackbone(Backbone):
    """A chain of stages, each of which halves the map; a subclass says by :attr:`stages` what belongs to which.

    Arguments as of :class:`mfdet.models.backbone.Backbone`.

    Attributes:
        stages: lists of modules that run one after the other: what is before stride 4, then those at strides 4 to 32.
    """

    def parts_to_freeze(self):
        """Return the modules that ``frozen_stages`` freezes."""
        return [module for stage in self.stages[: self.frozen_stages + 1] for module in stage]

    def forward(self, x):
        """Return the maps at ``out_indices``, (B, C, H, W) from fine to coarse, of images x (B, 3, H, W)."""
        outputs = []
        for i, stage in enumerate(self.stages[: self.out_indices[-1] + 2], start=-1):
            for module in stage:
                x = module(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
