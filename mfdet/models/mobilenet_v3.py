"""MobileNetV3-Large (Howard et al., ICCV 2019), the paper's first comparison, of mmdet's layers."""

from mmcv.cnn import ConvModule
from mmdet.models.layers import InvertedResidual
from mmdet.registry import MODELS
from torch import nn

from mfdet.models.staged import StagedBackbone

BN = dict(type='BN', eps=0.001, momentum=0.01)
# Table 1: kernel, expanded channels, output channels, channels inside squeeze-and-excitation (0: none), activation,
# stride.
LARGE = (
    (3, 16, 16, 0, 'ReLU', 1),
    (3, 64, 24, 0, 'ReLU', 2),
    (3, 72, 24, 0, 'ReLU', 1),
    (5, 72, 40, 24, 'ReLU', 2),
    (5, 120, 40, 32, 'ReLU', 1),
    (5, 120, 40, 32, 'ReLU', 1),
    (3, 240, 80, 0, 'HSwish', 2),
    (3, 200, 80, 0, 'HSwish', 1),
    (3, 184, 80, 0, 'HSwish', 1),
    (3, 184, 80, 0, 'HSwish', 1),
    (3, 480, 112, 120, 'HSwish', 1),
    (3, 672, 112, 168, 'HSwish', 1),
    (5, 672, 160, 168, 'HSwish', 2),
    (5, 960, 160, 240, 'HSwish', 1),
    (5, 960, 160, 240, 'HSwish', 1),
)


@MODELS.register_module()
class MobileNetV3(StagedBackbone):
    """MobileNetV3-Large: images (B, 3, H, W) to maps with 24, 40, 112 and 160 channels at strides 4, 8, 16 and 32.

    Its entries are named as in OpenMMLab's published classifiers, which ``init_cfg`` and ``--backbone-weights`` take.

    Args:
        out_indices, frozen_stages, norm_eval, init_cfg: see :class:`mfdet.models.backbone.Backbone`.
        last_conv: the classifier's 1×1 convolution to 960 channels as part of the last stage.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(self, out_indices=(0, 1, 2, 3), frozen_stages=-1, norm_eval=False, last_conv=False, init_cfg=None):
        super().__init__('large', ['large'], out_indices, frozen_stages, norm_eval, init_cfg)
        self.out_channels = [(24, 40, 112, 960 if last_conv else 160)[i] for i in self.out_indices]
        act = dict(type='HSwish')
        names = [['layer0']]
        self.layer0 = ConvModule(3, 16, 3, stride=2, padding=1, norm_cfg=BN, act_cfg=act)
        channels = 16
        for i, (kernel, hidden, out_channels, squeezed, act_type, stride) in enumerate(LARGE, start=1):
            block = InvertedResidual(
                channels,
                out_channels,
                hidden,
                kernel,
                stride,
                se_cfg=dict(
                    channels=hidden,
                    ratio=hidden / squeezed,
                    act_cfg=(dict(type='ReLU'), dict(type=nn.Hardsigmoid)),
                )
                if squeezed
                else None,
                with_expand_conv=hidden != channels,
                norm_cfg=BN,
                act_cfg=dict(type=act_type),
            )
            if stride == 2:
                names.append([])
            names[-1].append(f'layer{i}')
            self.add_module(f'layer{i}', block)
            channels = out_channels
        if last_conv:
            self.layer16 = ConvModule(channels, 960, 1, norm_cfg=BN, act_cfg=act)
            names[-1].append('layer16')
        else:
            self.unbuilt = ('layer16.',)
        self._stages = names
        self._freeze_stages()

    def chain(self):
        """Modules of each stage, see :class:`mfdet.models.staged.StagedBackbone`."""
        return [[getattr(self, name) for name in stage] for stage in self._stages]
