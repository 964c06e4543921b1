"""What backbones that are a plain chain of stages have in common."""

from mfdet.models.backbone import Backbone


class StagedBackbone(Backbone):
    """A chain of stages, each of which halves the map; a subclass says by :meth:`chain` what belongs to which.

    Arguments as of :class:`mfdet.models.backbone.Backbone`.
    """

    def chain(self):
        """Return lists of modules that run in turn: those before stride 4, then those at strides 4 to 32."""
        raise NotImplementedError

    def parts_to_freeze(self):
        """Return the modules that ``frozen_stages`` freezes."""
        return [module for stage in self.chain()[: self.frozen_stages + 1] for module in stage]

    def forward(self, x):
        """Return the maps at ``out_indices``, (B, C, H, W) from fine to coarse, of images x (B, 3, H, W)."""
        outputs = []
        for i, stage in enumerate(self.chain()[: self.out_indices[-1] + 2], start=-1):
            for module in stage:
                x = module(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
