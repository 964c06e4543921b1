"""The maps of SSDLite as MobileViT is used in it (Mehta & Rastegari, ICLR 2022, section 4.2)."""

import itertools

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from mfdet.errors import InputError


@MODELS.register_module()
class SSDLiteNeck(BaseModule):
    """Coarser maps by separable convolutions of stride 2; the backbone's own are widened by 1×1 convolutions.

    Unlike mmdet's ``SSDNeck`` it widens the maps of the backbone, which lightweight ones need, and has no bottleneck in
    front of the separable convolutions. It is the released MobileViT detector's, but that its coarsest map is a
    convolution in place of a global pool, so that images may have any size.

    Args:
        in_channels: channels of the backbone's maps.
        out_channels: channels of all maps, those of the backbone first.
        norm_cfg, act_cfg: of mmcv's ConvModule.
        init_cfg: of mmengine's BaseModule.

    Raises:
        InputError: there are no more maps out than in.
    """

    def __init__(
        self,
        in_channels,
        out_channels=(512, 256, 256, 128, 128, 64),
        norm_cfg=dict(type='BN'),  # noqa: B006, as in mmdet
        act_cfg=dict(type='ReLU'),  # noqa: B006
        init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if len(out_channels) <= len(in_channels):
            raise InputError(
                f'out_channels of the neck must be more than the {len(in_channels)} in_channels, got {out_channels!r}'
            )
        styles = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.project = nn.ModuleList(
            ConvModule(before, after, 1, **styles) for before, after in zip(in_channels, out_channels, strict=False)
        )
        widths = [in_channels[-1], *out_channels[len(in_channels) :]]
        self.extra = nn.ModuleList(
            DepthwiseSeparableConvModule(before, after, 3, stride=2, padding=1, **styles)
            for before, after in itertools.pairwise(widths)
        )

    def forward(self, maps):
        """Map the backbone's maps (B, C, H, W) to a tuple of more, each of those after them half the one before."""
        x, outputs = maps[-1], [project(x) for project, x in zip(self.project, maps, strict=True)]
        for layer in self.extra:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)
