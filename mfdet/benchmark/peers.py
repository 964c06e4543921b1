"""The backbones that Mobile-Former is compared with; mmdet's where it has them. The weights are random: speed does not
depend on them."""

from functools import partial

from mmdet.models.backbones import MobileNetV2, ResNet

from mfdet.models import ARCHS, MOBILEVITS, MobileFormer, MobileNetV3, MobileViT, ShuffleNetV2

BACKBONES = {  # name: function that builds it
    **{f'Mobile-Former-{arch.upper()}': partial(MobileFormer, arch, out_indices=(3,)) for arch in ARCHS},
    'MobileNetV3-Large': lambda: MobileNetV3(out_indices=(3,), last_conv=True),
    'MobileNetV2': lambda: MobileNetV2(out_indices=(7,)),
    'ResNet-18': lambda: ResNet(18, out_indices=(3,)),
    'ResNet-50': lambda: ResNet(50, out_indices=(3,)),
    'ShuffleNetV2': lambda: ShuffleNetV2(out_indices=(3,), last_conv=True),
    **{f'MobileViT-{arch.upper()}': partial(MobileViT, arch, out_indices=(3,)) for arch in MOBILEVITS},
}


def build_backbone(name):
    """Build a backbone of :data:`BACKBONES` that gives its last map, in evaluation mode."""
    backbone = BACKBONES[name]().requires_grad_(False)
    backbone.eval()  # of mmdet's, some return nothing
    return backbone
