"""The backbones that Mobile-Former is compared with.

Those of mmdet are used where it has them; MobileNetV3-Large, the paper's own comparison, is built of mmdet's layers
here, so that it needs no further package. The weights are random: speed does not depend on them.
"""

import importlib
from functools import partial

from mmcv.cnn import ConvModule
from mmdet.models.backbones import MobileNetV2, ResNet
from mmdet.models.layers import InvertedResidual
from torch import nn

from mfdet.models import MOBILEVITS, MobileFormer, MobileViT

BN = dict(type='BN', eps=0.001)
# MobileNetV3-Large (Howard et al., ICCV 2019, Table 1): kernel, expanded channels, output channels,
# channels inside squeeze-and-excitation (0: none), activation, stride.
MOBILENET_V3_LARGE = (
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


class MobileNetV3Large(nn.Sequential):
    """Feature extractor of MobileNetV3-Large: images (B, 3, H, W) to a map (B, 960, H/32, W/32)."""

    def __init__(self):
        layers = [ConvModule(3, 16, 3, stride=2, padding=1, norm_cfg=BN, act_cfg=dict(type='HSwish'))]
        channels = 16
        for kernel, hidden, out_channels, squeezed, act, stride in MOBILENET_V3_LARGE:
            layers.append(
                InvertedResidual(
                    channels,
                    out_channels,
                    hidden,
                    kernel,
                    stride,
                    se_cfg=dict(
                        channels=hidden,
                        ratio=hidden / squeezed,
                        act_cfg=(dict(type='ReLU'), dict(type='HSigmoid', bias=3.0, divisor=6.0)),
                    )
                    if squeezed
                    else None,
                    with_expand_conv=hidden != channels,
                    norm_cfg=BN,
                    act_cfg=dict(type=act),
                )
            )
            channels = out_channels
        layers.append(ConvModule(channels, 960, 1, norm_cfg=BN, act_cfg=dict(type='HSwish')))
        super().__init__(*layers)
        for module in self.modules():
            for name, child in module.named_children():
                if type(child).__name__ == 'HSigmoid':  # four operators; runtimes know torch's own as one
                    setattr(module, name, nn.Hardsigmoid())


def shufflenet_v2():
    """ShuffleNetV2 1.0×, of torchvision."""
    models = importlib.import_module('torchvision.models')
    network = models.shufflenet_v2_x1_0(weights=None)
    parts = (network.conv1, network.maxpool, network.stage2, network.stage3, network.stage4, network.conv5)
    return nn.Sequential(*parts)


BACKBONES = {  # name: function that builds it
    'Mobile-Former-508M': lambda: MobileFormer('508m', out_indices=(3,)),
    'Mobile-Former-214M': lambda: MobileFormer('214m', out_indices=(3,)),
    'MobileNetV3-Large': MobileNetV3Large,
    'MobileNetV2': lambda: MobileNetV2(out_indices=(7,)),
    'ResNet-18': lambda: ResNet(18, out_indices=(3,)),
    'ResNet-50': lambda: ResNet(50, out_indices=(3,)),
    'ShuffleNetV2': shufflenet_v2,
    **{f'MobileViT-{arch.upper()}': partial(MobileViT, arch, out_indices=(3,)) for arch in MOBILEVITS},
}


def build_backbone(name):
    """Build a backbone of :data:`BACKBONES` that gives its last map.

    Returns:
        The module in evaluation mode, or a sentence on which package is missing.
    """
    try:
        backbone = BACKBONES[name]().requires_grad_(False)
    except ImportError as error:
        return f'{name} is left out: it needs {error.name}, which is not installed'
    backbone.eval()  # of mmdet's, some return nothing
    return backbone
