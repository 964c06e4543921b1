"""Mobile-Former backbone (Chen et al., CVPR 2022, Table 1 and appendix A), all variants from one table."""

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model.weight_init import kaiming_init, trunc_normal_init
from torch import nn
from torch.utils.checkpoint import checkpoint

from mfdet.errors import InputError
from mfdet.layers import BneckLite, Mobile, MobileDownsample, MobileFormerBlock
from mfdet.layers.mobile import halve
from mfdet.models.backbone import Backbone

# Blocks: L = bneck-lite (C_out, e), D = downsample (C_out, e1, e2), B = stride 1 (C_out, e).
# Stages are those at stride 2, 4, 8, 16 and 32; the first block of a stage halves the map, except at stride 2.
# `feature_dim` is the width of the classifier's hidden layer; `groups` are those of every 1×1 convolution.
_STAGES_52M = (
    (),
    (('L', 12, 3), ('B', 12, 3)),
    (('D', 24, 6, 4), ('B', 24, 3)),
    (('D', 48, 6, 4), ('B', 48, 4), ('B', 64, 6)),
    (('D', 96, 6, 4), ('B', 96, 6)),
)
ARCHS = {
    '508m': dict(
        stem_channels=24,
        num_tokens=6,
        token_dim=192,
        feature_dim=1920,
        stages=(
            (('L', 24, 2),),
            (('D', 40, 6, 4), ('B', 40, 3)),
            (('D', 72, 6, 4), ('B', 72, 3)),
            (('D', 128, 6, 4), ('B', 128, 4), ('B', 176, 6), ('B', 176, 6)),
            (('D', 240, 6, 4), ('B', 240, 6), ('B', 240, 6)),
        ),
    ),
    '294m': dict(
        stem_channels=16,
        num_tokens=6,
        token_dim=192,
        feature_dim=1920,
        stages=(
            (('L', 16, 2),),
            (('D', 24, 6, 4), ('B', 24, 4)),
            (('D', 48, 6, 4), ('B', 48, 4)),
            (('D', 96, 6, 4), ('B', 96, 4), ('B', 128, 6), ('B', 128, 6)),
            (('D', 192, 6, 4), ('B', 192, 6), ('B', 192, 6)),
        ),
    ),
    '214m': dict(
        stem_channels=12,
        num_tokens=6,
        token_dim=192,
        feature_dim=1600,
        stages=(
            (('L', 12, 2),),
            (('D', 20, 6, 4), ('B', 20, 3)),
            (('D', 40, 6, 4), ('B', 40, 4)),
            (('D', 80, 6, 4), ('B', 80, 4), ('B', 112, 6), ('B', 112, 6)),
            (('D', 160, 6, 4), ('B', 160, 6), ('B', 160, 6)),
        ),
    ),
    '151m': dict(
        stem_channels=12,
        num_tokens=6,
        token_dim=192,
        feature_dim=1280,
        stages=(
            (('L', 12, 2),),
            (('D', 16, 6, 4), ('B', 16, 3)),
            (('D', 32, 6, 4), ('B', 32, 3)),
            (('D', 64, 6, 4), ('B', 64, 4), ('B', 88, 6), ('B', 88, 6)),
            (('D', 128, 6, 4), ('B', 128, 6), ('B', 128, 6)),
        ),
    ),
    '96m': dict(
        stem_channels=12,
        num_tokens=4,
        token_dim=128,
        feature_dim=1280,
        stages=(
            (('L', 12, 2),),
            (('D', 16, 6, 4),),
            (('D', 32, 6, 4), ('B', 32, 3)),
            (('D', 64, 6, 4), ('B', 64, 4), ('B', 88, 6)),
            (('D', 128, 6, 4), ('B', 128, 6)),
        ),
    ),
    '52m': dict(stem_channels=8, num_tokens=3, token_dim=128, feature_dim=1024, stages=_STAGES_52M),
    '26m': dict(stem_channels=8, num_tokens=3, token_dim=128, feature_dim=1024, stages=_STAGES_52M, groups=4),
}


@MODELS.register_module()
class MobileFormer(Backbone):
    """Mobile-Former backbone: a feature map and a few global tokens, updated together block by block.

    Takes images (B, 3, H, W) of any size, normalised with ImageNet mean and deviation, and returns the maps at the
    strides chosen by ``out_indices``; a map at stride s has size (ceil(H/s), ceil(W/s)).

    Args:
        arch: variant by its MAdds at 224×224: '26m', '52m', '96m', '151m', '214m', '294m' or '508m'.
        out_indices: maps to return, 0 to 3 for strides 4, 8, 16 and 32. Stages past the last one are not built.
        spatial_aware_dyrelu: mix the dynamic ReLUs of all tokens at each position (end-to-end detectors) in place of
            sharing those of the first token (classification, RetinaNet). The weights have the same layout.
        num_tokens: number of tokens M; None for the variant's own, 0 for Mobile alone (ablation, Table 6; it needs
            ``dynamic_relu=False``).
        token_dim: width d of a token, divisible by 4; None for the variant's own.
        dynamic_relu: False for plain ReLUs (ablation, Table 6).
        former_cfg: further arguments of :class:`mfdet.layers.Former`: ``ffn_ratio=0`` and ``token_mixer='mlp'`` are
            the paper's ablations (Table 7).
        drop_path_rate: drop path of the last block; it rises linearly from 0 at the first.
        with_cp: recompute activations in the backward pass, block by block, to save memory.
        frozen_stages: −1 trains everything, 0 freezes tokens, stem and the stage at stride 2, 1 also the stage at
            stride 4, up to 4 for all.
        norm_eval: keep BatchNorm statistics fixed in training.
        init_cfg: mmengine's, or ``dict(type='Pretrained', checkpoint=FILE)`` where FILE is a released
            ``mobile-former-*.pth.tar``, a file of ``tools/convert_weights.py`` or a checkpoint of this project.

    Attributes:
        out_channels: channels of each returned map.
        out_strides: stride of each returned map.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    def __init__(
        self,
        arch='508m',
        out_indices=(0, 1, 2, 3),
        spatial_aware_dyrelu=False,
        num_tokens=None,
        token_dim=None,
        dynamic_relu=True,
        former_cfg=None,
        drop_path_rate=0.0,
        with_cp=False,
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    ):
        super().__init__(arch, ARCHS, out_indices, frozen_stages, norm_eval, init_cfg)
        spec = ARCHS[arch]
        self.num_tokens = spec['num_tokens'] if num_tokens is None else num_tokens
        self.token_dim = token_dim or spec['token_dim']
        if self.num_tokens == 0 and (dynamic_relu or spatial_aware_dyrelu):
            raise InputError('num_tokens=0 leaves nothing to drive dynamic ReLUs; set dynamic_relu=False with it')
        if self.token_dim % 4:
            raise InputError(f'token_dim must be divisible by 4, the number of heads of Former, got {token_dim}')
        self.with_cp = with_cp

        stages = spec['stages'][: max(out_indices) + 2]
        depth = sum(map(len, stages))
        drop_paths = iter([drop_path_rate * i / (depth - 1) for i in range(depth)])
        channels = spec['stem_channels']
        if self.num_tokens:
            self.tokens = nn.Parameter(torch.empty(self.num_tokens, self.token_dim))
        self.stem = ConvModule(
            3, channels, 3, stride=2, padding=1, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU6')
        )
        self.blocks = nn.ModuleList()
        self.stage_ends = []  # number of blocks up to the end of each stage
        self.downsampling = []  # blocks that halve the map, counted from 1
        stage_channels = []
        for i, stage in enumerate(stages):
            for j, block in enumerate(stage):
                stride = 2 if i > 0 and j == 0 else 1
                self.blocks.append(
                    self._build_block(
                        channels,
                        *block,
                        stride=stride,
                        groups=spec.get('groups', 1),
                        dynamic_relu=dynamic_relu,
                        spatial_aware=spatial_aware_dyrelu,
                        former_cfg=dict(former_cfg or {}, num_tokens=self.num_tokens),
                        drop_path=next(drop_paths),
                    )
                )
                if stride == 2:
                    self.downsampling.append(len(self.blocks))
                channels = block[1]
            self.stage_ends.append(len(self.blocks))
            stage_channels.append(channels)
        self.out_ends = [self.stage_ends[i + 1] for i in out_indices]
        self.out_channels = [stage_channels[i + 1] for i in out_indices]
        self.reset_parameters()
        self._freeze_stages()

    def _build_block(
        self,
        in_channels,
        kind,
        out_channels,
        *ratios,
        stride,
        groups,
        dynamic_relu,
        spatial_aware,
        former_cfg,
        drop_path,
    ):
        if kind == 'L':
            return BneckLite(in_channels, out_channels, *ratios, stride=stride, groups=groups)
        mobile_class = MobileDownsample if kind == 'D' else Mobile
        mobile = mobile_class(in_channels, out_channels, *ratios, self.token_dim, dynamic_relu, groups)
        if not self.num_tokens:
            return mobile
        return MobileFormerBlock(
            mobile, in_channels, out_channels, self.token_dim, spatial_aware, former_cfg, drop_path
        )

    def reset_parameters(self):
        """Initialise for training from scratch: dynamic ReLUs start close to ReLU, Former→Mobile close to identity."""
        if self.num_tokens:
            nn.init.normal_(self.tokens)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                kaiming_init(module)
            elif isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02)

    def parts_to_freeze(self):
        """See :class:`mfdet.models.backbone.Backbone`; the tokens belong to the stem."""
        ends = self.stage_ends[: self.frozen_stages + 1]
        return [*([self.tokens] if self.num_tokens else []), self.stem, *self.blocks[: ends[-1]]]

    def forward(self, x, return_tokens=False, valid=None):
        """Compute the maps of a batch of images.

        Args:
            x: images (B, 3, H, W).
            return_tokens: return the tokens after the last block as well.
            valid: bool (B, 1, H, W), False at the padding of images that are smaller than the batch. With it the maps
                of an image do not depend on how far it is padded, provided H and W are multiples of 32 and padding
                is 0 after normalisation. None takes all as image.

        Returns:
            A tuple of maps (B, C, ceil(H/s), ceil(W/s)), one for each of ``out_indices``; with ``return_tokens`` the
            pair of that tuple and the tokens (B, M, d), None where there are none.
        """
        tokens = self.tokens.expand(x.shape[0], -1, -1) if self.num_tokens else None
        x = self.stem(x)
        valid = halve(valid)
        maps = []
        for i, block in enumerate(self.blocks, start=1):
            inputs = (x, tokens) if isinstance(block, MobileFormerBlock) else (x,)
            if self.with_cp and torch.is_grad_enabled():
                outputs = checkpoint(block, *inputs, valid=valid, use_reentrant=False)
            else:
                outputs = block(*inputs, valid=valid)
            x, tokens = outputs if isinstance(block, MobileFormerBlock) else (outputs, tokens)
            if i in self.downsampling:
                valid = halve(valid)
            if i in self.out_ends:
                maps.append(x)
        return (tuple(maps), tokens) if return_tokens else tuple(maps)
