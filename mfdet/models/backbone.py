"""What the backbones of this project share: their arguments, the loading of weights, and frozen stages."""

from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from torch.nn.modules.batchnorm import _BatchNorm

from mfdet.errors import InputError
from mfdet.weights import load_backbone


class Backbone(BaseModule):
    """A backbone of stages at stride 2, 4, 8, 16 and 32, of which all but the first give a map.

    A subclass sets ``out_channels``, and builds its stages up to the last one asked for.

    Args:
        arch: name of the variant.
        archs: all variants by name.
        out_indices: maps to return, 0 to 3 for strides 4, 8, 16 and 32.
        frozen_stages: −1 trains everything, 0 freezes the stem and the stage at stride 2, up to 4 for all.
        norm_eval: keep BatchNorm statistics fixed in training.
        init_cfg: mmengine's, or ``dict(type='Pretrained', checkpoint=FILE)``, see
            :func:`mfdet.weights.load_backbone`.

    Attributes:
        unbuilt: what names of entries begin with that are a classifier's alone, as a tuple.
        out_channels: channels of each returned map.
        out_strides: stride of each returned map.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    unbuilt = ()

    def __init__(self, arch, archs, out_indices, frozen_stages, norm_eval, init_cfg):
        super().__init__(init_cfg)
        if arch not in archs:
            raise InputError(f'arch must be one of {", ".join(archs)}, got {arch!r}')
        if not out_indices or list(out_indices) != sorted(set(out_indices)) or not set(out_indices) <= {0, 1, 2, 3}:
            raise InputError(f'out_indices must rise within 0..3 (strides 4, 8, 16, 32), got {out_indices!r}')
        if frozen_stages not in range(-1, 5):
            raise InputError(f'frozen_stages must be from -1 (none) to 4 (all), got {frozen_stages!r}')
        self.arch = arch
        self.out_indices = tuple(out_indices)
        self.out_strides = [4 * 2**i for i in out_indices]
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

    def parts_to_freeze(self):
        """Return the modules and parameters that ``frozen_stages`` freezes, if it is not −1."""
        raise NotImplementedError

    def init_weights(self):
        """Load the weights that ``init_cfg`` names, and log it; without it keep those of the constructor."""
        if self.init_cfg and self.init_cfg['type'] == 'Pretrained':
            MMLogger.get_current_instance().info(load_backbone(self, self.init_cfg['checkpoint']))
            self._is_init = True
        else:
            super().init_weights()

    def _freeze_stages(self):
        if self.frozen_stages < 0:
            return
        for part in self.parts_to_freeze():
            part.requires_grad_(False)
            if hasattr(part, 'eval'):  # a module
                part.eval()

    def train(self, mode=True):
        """Set training mode, keeping frozen stages and, with ``norm_eval``, all BatchNorms in evaluation mode."""
        super().train(mode)
        if mode:
            self._freeze_stages()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self
