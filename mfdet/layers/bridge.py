"""The two-way bridge between the feature map and the tokens (Mobile-Former, section 3.1, equations 1 and 2).

Both directions keep the map side free of projections, so their cost is small where the map is large.
"""

import math

import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import nn


def split_heads(x, heads):
    """View (B, N, C) as (B, heads, N, C / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def with_position(tokens, position):
    """Add the position part of object queries, both (B, M, d), if they have one."""
    return tokens if position is None else tokens + position


class MobileToFormer(nn.Module):
    """Mobile→Former: cross attention that updates the tokens from the map.

    Queries are projected tokens; keys and values are the map itself. The output passes a gate
    2·hsigmoid(Linear(z)), a projection, drop path, the residual and a LayerNorm (post-norm).

    Args:
        channels: channels C of the map, divisible by ``heads``.
        token_dim: width d of a token.
        heads: attention heads over the C channels.
        drop_path: probability of dropping the update of a sample in training.
    """

    def __init__(self, channels, token_dim, heads=2, drop_path=0.0):
        super().__init__()
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.query = nn.Linear(token_dim, channels)
        self.gate = nn.Linear(token_dim, channels)
        self.proj = nn.Linear(channels, token_dim)
        self.drop_path = DropPath(drop_path)
        self.norm = nn.LayerNorm(token_dim)

    def attention(self, x, tokens, position=None, valid=None):
        """Return logits, scaled, and attention weights, each (B, h, M, H·W); the arguments are those of `forward`."""
        query = split_heads(self.query(with_position(tokens, position)), self.heads)  # (B, h, M, C/h)
        logits = (query * self.scale) @ x.flatten(2).unflatten(1, (self.heads, -1))
        masked = logits if valid is None else logits.masked_fill(~valid.flatten(2)[:, None], -math.inf)
        return logits, masked.softmax(-1)

    def forward(self, x, tokens, position=None, valid=None):
        """Update the tokens.

        Args:
            x: map (B, C, H, W), its position code included where it has one.
            tokens: (B, M, d).
            position: position part of the tokens (B, M, d), added for the attention only.
            valid: bool (B, 1, H, W), False where the map is padding; None if it is all image.

        Returns:
            The new tokens (B, M, d), and the attention logits (B, M, H, W): scaled, before the softmax, averaged over
            the heads. Spatial-aware dynamic ReLU mixes with them.
        """
        logits, weights = self.attention(x, tokens, position, valid)
        value = x.flatten(2).unflatten(1, (self.heads, -1))  # (B, h, C/h, H·W), the keys as well
        update = (weights @ value.transpose(-1, -2)).transpose(1, 2).flatten(2)  # (B, M, C)
        update = update * (2 * F.hardsigmoid(self.gate(tokens)))
        tokens = self.norm(tokens + self.drop_path(self.proj(update)))
        return tokens, logits.mean(1).unflatten(-1, x.shape[-2:])


class FormerToMobile(nn.Module):
    """Former→Mobile: cross attention that updates the map from the tokens.

    Queries are the map itself; keys and values are projected tokens. The result is added to the map.

    Args:
        channels: channels C of the map, divisible by ``heads``.
        token_dim: width d of a token.
        heads: attention heads over the C channels.
        drop_path: probability of dropping the update of a sample in training.
    """

    def __init__(self, channels, token_dim, heads=2, drop_path=0.0):
        super().__init__()
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.key = nn.Linear(token_dim, channels)
        self.value = nn.Linear(token_dim, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x, tokens, position=None):
        """Return the new map (B, C, H, W) from x (B, C, H, W), tokens (B, M, d) and their position part, if any."""
        key = split_heads(self.key(with_position(tokens, position)), self.heads)  # (B, h, M, C/h)
        value = split_heads(self.value(tokens), self.heads)
        query = x.flatten(2).unflatten(1, (self.heads, -1))  # (B, h, C/h, H·W)
        attention = ((key * self.scale) @ query).softmax(-2)  # (B, h, M, H·W), over the tokens
        update = value.transpose(-1, -2) @ attention  # (B, h, C/h, H·W)
        return x + self.drop_path(update.flatten(1, 2).view_as(x))
