"""Dynamic ReLU, driven by the tokens (Mobile-Former, section 3.2; E2E-MF, section 4)."""

import torch
import torch.nn.functional as F
from torch import nn


class DynamicReLU(nn.Module):
    """y = max(a1·x, a2·x) with two slopes for each channel that depend on the tokens; no intercepts.

    The coefficients come from h = hsigmoid(MLP(z)) in [0, 1]: a1 = 2·h1 in [0, 2] and a2 = 2·h2 − 1 in [−1, 1].
    With ``mixing`` the layer is *spatial-aware*: each position takes its own convex combination of the coefficients
    of all tokens. Without, all positions share those of the first token (*spatial-shared*).

    Args:
        channels: channels C of the feature map.
        token_dim: width d of a token; the MLP is d → d/4 → 2C.
        mix_hidden: if spatial-aware, combine the MLP's hidden layer over the tokens in place of its output h. It is
            cheaper with many tokens, d/4 being less than 2C, and differs where the hsigmoid between them saturates.
    """

    def __init__(self, channels, token_dim, mix_hidden=False):
        super().__init__()
        self.mix_hidden = mix_hidden
        self.reduce = nn.Linear(token_dim, token_dim // 4)
        self.expand = nn.Linear(token_dim // 4, 2 * channels)

    def coefficients(self, tokens):
        """Map tokens (..., d) to h (..., 2C) in [0, 1]: h1 first, then h2."""
        return F.hardsigmoid(self.expand(F.relu(self.reduce(tokens))))

    @staticmethod
    def slopes(h, dim):
        """Return a1 and a2 for h, which holds h1 and h2 one after the other along a dimension."""
        h1, h2 = h.chunk(2, dim)
        return 2 * h1, 2 * h2 - 1

    def forward(self, x, tokens, mixing=None):
        """Apply to x (B, C, H, W), given tokens (B, M, d) and, if spatial-aware, mixing (B, M, H, W) that sums to 1."""
        if mixing is None:
            a1, a2 = self.slopes(self.coefficients(tokens[:, 0])[..., None, None], 1)
        elif self.mix_hidden:
            hidden = torch.einsum('bmk,bmhw->bkhw', F.relu(self.reduce(tokens)), mixing)
            h = F.hardsigmoid(F.conv2d(hidden, self.expand.weight[..., None, None], self.expand.bias))
            a1, a2 = self.slopes(h, 1)
        else:
            slopes = self.slopes(self.coefficients(tokens), -1)
            a1, a2 = (torch.einsum('bmk,bmhw->bkhw', a, mixing) for a in slopes)
        return a2 * x + F.relu((a1 - a2) * x)  # the maximum; its gradient is several times cheaper in this form


class StaticReLU(nn.ReLU):
    """Plain ReLU with the call of :class:`DynamicReLU`: the paper's ablation without dynamic ReLU (Table 6)."""

    def forward(self, x, tokens=None, mixing=None):
        """Apply to x of any shape; the other arguments are not looked at."""
        return super().forward(x)
