"""The Mobile-Former block (Mobile-Former, section 3.2, Figure 3)."""

from torch import nn

from mfdet.layers.bridge import FormerToMobile, MobileToFormer
from mfdet.layers.former import Former


class MobileFormerBlock(nn.Module):
    """Mobile→Former, Former, Mobile, Former→Mobile: the tokens are updated first, then the map.

    Args:
        mobile: the map's part, :class:`Mobile` or :class:`MobileDownsample`; None, where nothing reads the map any
            more, leaves out the block's second half.
        in_channels, out_channels: channels of the input and output map.
        token_dim: width d of a token.
        spatial_aware: let each position mix the dynamic ReLUs of all tokens by its attention.
        former_cfg: further arguments of :class:`Former`.
        drop_path: probability of dropping an update of a sample in training.
    """

    def __init__(
        self, mobile, in_channels, out_channels, token_dim, spatial_aware=False, former_cfg=None, drop_path=0.0
    ):
        super().__init__()
        self.spatial_aware = spatial_aware
        self.mobile_to_former = MobileToFormer(in_channels, token_dim, drop_path=drop_path)
        self.former = Former(token_dim, drop_path=drop_path, **(former_cfg or {}))
        self.mobile = mobile
        if mobile is not None:
            self.former_to_mobile = FormerToMobile(out_channels, token_dim, drop_path=drop_path)

    def forward(self, x, tokens, valid=None, map_code=None, position=None, mask=None, drivers=None):
        """Update map and tokens.

        In the backbone only ``valid`` is ever given; the rest is what object queries bring.

        Args:
            x: (B, C_in, H, W).
            tokens: (B, M, d).
            valid: bool (B, 1, H, W), False where the map is padding; None if it is all image.
            map_code: position code of the map, (1 or B, C_in, H, W), in Mobile→Former: K = V = X + P.
            position: position part of the tokens (B, M, d), in all three attentions.
            mask: bool (M, M) or (B, 1, M, M) of the self-attention, True where the row may attend to the column.
            drivers: number of leading tokens that update the map; None for all. Queries added for training come
                after them and so cannot change what the others see.

        Returns:
            The new map (B, C_out, H', W') and the new tokens (B, M, d).
        """
        tokens, logits = self.mobile_to_former(x if map_code is None else x + map_code, tokens, position, valid)
        tokens = self.former(tokens, position, mask)
        if self.mobile is None:
            return x, tokens
        driving = tokens[:, :drivers]
        x = self.mobile(x, driving, logits[:, :drivers] if self.spatial_aware else None, valid)
        return self.former_to_mobile(x, driving, None if position is None else position[:, :drivers]), tokens
