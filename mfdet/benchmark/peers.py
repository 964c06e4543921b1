"""The backbones that Mobile-Former is compared with; mmdet's where it has them. The weights are random: speed does not
depend on them."""

import importlib

from mmdet.models.backbones import MobileNetV2, ResNet
from torch import nn

from mfdet.models import ARCHS, MobileFormer, MobileNetV3, ShuffleNetV2


def mobilevit_s():
    """MobileViT-S, of transformers."""
    transformers = importlib.import_module('transformers')

    class MobileViT(nn.Module):
        def __init__(self):
            super().__init__()
            config = transformers.MobileViTConfig()
            self.model = transformers.MobileViTModel(config, expand_output=False)

        def forward(self, images):
            return self.model(images, return_dict=True).last_hidden_state

    return MobileViT()


BACKBONES = {  # name: function that builds it
    **{f'Mobile-Former-{arch.upper()}': lambda arch=arch: MobileFormer(arch, out_indices=(3,)) for arch in ARCHS},
    'MobileNetV3-Large': lambda: MobileNetV3(out_indices=(3,), last_conv=True),
    'MobileNetV2': lambda: MobileNetV2(out_indices=(7,)),
    'ResNet-18': lambda: ResNet(18, out_indices=(3,)),
    'ResNet-50': lambda: ResNet(50, out_indices=(3,)),
    'ShuffleNetV2': lambda: ShuffleNetV2(out_indices=(3,), last_conv=True),
    'MobileViT-S': mobilevit_s,
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
