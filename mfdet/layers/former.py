"""Former: the transformer over the few tokens (Mobile-Former, section 3.2)."""

import math

from mmcv.cnn.bricks import DropPath
from torch import nn

from mfdet.errors import InputError
from mfdet.layers.bridge import split_heads, with_position


class Former(nn.Module):
    """Self-attention over the tokens, then a feed-forward network; both with residual and post-norm.

    Queries are projected; keys and values are the tokens themselves.

    Args:
        token_dim: width d of a token, divisible by ``heads``.
        heads: attention heads.
        ffn_ratio: hidden width of the feed-forward network over d; 0 leaves it out (ablation, Table 7b of the paper).
        token_mixer: 'attention', or 'mlp' for an MLP over the token axis in its place (ablation, Table 7a).
        num_tokens: number of tokens M; only needed for ``token_mixer='mlp'``.
        drop_path: probability of dropping the update of a sample in training.
    """

    def __init__(self, token_dim, heads=4, ffn_ratio=2, token_mixer='attention', num_tokens=None, drop_path=0.0):
        super().__init__()
        self.token_mixer = token_mixer
        self.drop_path = DropPath(drop_path)
        if token_mixer == 'attention':
            self.heads = heads
            self.scale = (token_dim // heads) ** -0.5
            self.query = nn.Linear(token_dim, token_dim)
            self.proj = nn.Linear(token_dim, token_dim)
        elif token_mixer == 'mlp':
            self.token_mlp = nn.Sequential(
                nn.Linear(num_tokens, 4 * num_tokens), nn.GELU(), nn.Linear(4 * num_tokens, num_tokens)
            )
        else:
            raise InputError(f"token_mixer must be 'attention' or 'mlp', got {token_mixer!r}")
        self.norm = nn.LayerNorm(token_dim)
        self.ffn = None
        if ffn_ratio:
            hidden = int(ffn_ratio * token_dim)
            self.ffn = nn.Sequential(nn.Linear(token_dim, hidden), nn.GELU(), nn.Linear(hidden, token_dim))
            self.ffn_norm = nn.LayerNorm(token_dim)

    def attention(self, tokens, mask=None):
        """Multi-head self-attention over tokens (B, M, d), before the residual; returns (B, M, d)."""
        query = split_heads(self.query(tokens), self.heads)  # (B, h, M, d/h)
        value = split_heads(tokens, self.heads)  # keys as well
        logits = (query * self.scale) @ value.transpose(-1, -2)  # (B, h, M, M)
        if mask is not None:
            logits = logits.masked_fill(~mask, -math.inf)
        return self.proj((logits.softmax(-1) @ value).transpose(1, 2).flatten(2))

    def mix(self, tokens, mask=None):
        """Exchange information between tokens (B, M, d) by attention or, in the ablation, an MLP over M."""
        if self.token_mixer == 'attention':
            return self.attention(tokens, mask)
        return self.token_mlp(tokens.transpose(1, 2)).transpose(1, 2)

    def forward(self, tokens, position=None, mask=None):
        """Update the tokens.

        Args:
            tokens: (B, M, d).
            position: position part of the tokens (B, M, d), added for the attention only.
            mask: bool (M, M) or (B, 1, M, M), True where the token of the row may attend to that of the column; None
                for everywhere.

        Returns:
            The new tokens (B, M, d).
        """
        tokens = self.norm(tokens + self.drop_path(self.mix(with_position(tokens, position), mask)))
        if self.ffn is not None:
            tokens = self.ffn_norm(tokens + self.drop_path(self.ffn(tokens)))
        return tokens
