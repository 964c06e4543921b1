"""The Mobile-Former block (Mobile-Former, section 3.2, Figure 3)."""

from torch import nn

from mfdet.layers.bridge import FormerToMobile, MobileToFormer
from mfdet.layers.former import Former


class MobileFormerBlock(nn.Module):
    """Mobile→Former, Former, Mobile, Former→Mobile: the tokens are updated first, then the map.

    Args:
        mobile: the map's part, :class:`Mobile` or :class:`MobileDownsample`.
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
        self.former_to_mobile = FormerToMobile(out_channels, token_dim, drop_path=drop_path)

    def forward(self, x, tokens):
        """Update map and tokens.

        Args:
            x: (B, C_in, H, W).
            tokens: (B, M, d).

        Returns:
            The new map (B, C_out, H', W') and the new tokens (B, M, d).
        """
        tokens, logits = self.mobile_to_former(x, tokens)
        tokens = self.former(tokens)
        x = self.mobile(x, tokens, logits if self.spatial_aware else None)
        return self.former_to_mobile(x, tokens), tokens
