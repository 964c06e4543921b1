"""MobileViT backbone (Mehta & Rastegari, ICLR 2022, Figure 1 and Table 4), all variants from one table."""

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model.weight_init import kaiming_init, trunc_normal_init
from torch import nn

from mfdet.errors import InputError
from mfdet.layers.mobilevit import ACT, NORM, MobileViTBlock, inverted_residual
from mfdet.models.staged import StagedBackbone

# `channels` are those of the stem and of the stages at stride 2, 4, 8, 16 and 32; `widths` those of the transformers in
# the last three stages; `feature_dim` is the width before the classifier; `dropout` that of the released training.
MOBILEVITS = {
    's': dict(
        channels=(16, 32, 64, 96, 128, 160), widths=(144, 192, 240), expand_ratio=4, feature_dim=640, dropout=0.1
    ),
    'xs': dict(channels=(16, 32, 48, 64, 80, 96), widths=(96, 120, 144), expand_ratio=4, feature_dim=384, dropout=0.1),
    'xxs': dict(channels=(16, 16, 24, 48, 64, 80), widths=(64, 80, 96), expand_ratio=2, feature_dim=320, dropout=0.05),
}
DEPTHS = (2, 4, 3)  # layers of those transformers


@MODELS.register_module()
class MobileViT(StagedBackbone):
    """MobileViT backbone: inverted residuals up to stride 8, then convolutions around transformers.

    Takes images (B, 3, H, W) of any size and returns the maps at the strides chosen by ``out_indices``; a map at
    stride s has size (ceil(H/s), ceil(W/s)). The released weights are for images in BGR order, divided by 255 and not
    normalised otherwise: ``data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=False)``.

    The transformers see padding as image, so a map depends on how far its batch is padded.

    Args:
        arch: variant, 'xxs', 'xs' or 's'.
        out_indices: maps to return, 0 to 3 for strides 4, 8, 16 and 32. Stages past the last one are not built.
        dropout: dropout in the transformers; None for the variant's own, 0.05 for 'xxs' and else 0.1.
        frozen_stages: −1 trains everything, 0 freezes stem and the stage at stride 2, 1 also the stage at stride 4, up
            to 4 for all.
        norm_eval: keep BatchNorm statistics fixed in training.
        init_cfg: mmengine's, or ``dict(type='Pretrained', checkpoint=FILE)`` where FILE is a released checkpoint as
            ``transformers`` stores it (``.safetensors`` or ``.bin``) or a checkpoint of this project.

    Attributes:
        out_channels: channels of each returned map.
        out_strides: stride of each returned map.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    def __init__(
        self,
        arch='s',
        out_indices=(0, 1, 2, 3),
        dropout=None,
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    ):
        super().__init__(arch, MOBILEVITS, out_indices, frozen_stages, norm_eval, init_cfg)
        spec = MOBILEVITS[arch]
        if dropout is None:
            dropout = spec['dropout']
        if not 0 <= dropout < 1:
            raise InputError(f'dropout must be from 0 to less than 1, got {dropout!r}')
        stem, *channels = spec['channels']
        ratio = spec['expand_ratio']
        self.stem = ConvModule(3, stem, 3, stride=2, padding=1, norm_cfg=NORM, act_cfg=ACT)
        self.stages = nn.ModuleList()
        self.stages.append(nn.Sequential(inverted_residual(stem, channels[0], 1, ratio)))
        self.stages.append(
            nn.Sequential(
                inverted_residual(channels[0], channels[1], 2, ratio),
                *(inverted_residual(channels[1], channels[1], 1, ratio) for _ in range(2)),
            )
        )
        for i, (width, depth) in enumerate(zip(spec['widths'], DEPTHS, strict=True), start=1):
            self.stages.append(MobileViTBlock(channels[i], channels[i + 1], width, depth, ratio, dropout))
        del self.stages[max(out_indices) + 2 :]
        self.out_channels = [channels[i + 1] for i in out_indices]
        self.reset_parameters()
        self._freeze_stages()

    def reset_parameters(self):
        """Initialise for training from scratch, as the released code does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                kaiming_init(module)
            elif isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02)

    def chain(self):
        """See :class:`mfdet.models.staged.StagedBackbone`."""
        first, *rest = self.stages
        return [[self.stem, first], *([stage] for stage in rest)]
