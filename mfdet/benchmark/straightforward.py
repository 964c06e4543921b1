"""The equations of :mod:`mfdet.layers` as one would first write them, to measure against.

Attention in the textbook's order (map positions as rows), dynamic ReLU as a maximum of two products, BatchNorm apart.
"""

import torch
import torch.nn.functional as F

from mfdet.layers import DynamicReLU, FormerToMobile, MobileToFormer
from mfdet.layers.bridge import split_heads


class PlainMobileToFormer(MobileToFormer):
    """:class:`mfdet.layers.MobileToFormer`, without position codes and padding."""

    def forward(self, x, tokens, position=None, valid=None):
        """See the base class."""
        keys = split_heads(x.flatten(2).transpose(1, 2), self.heads)  # (B, h, H·W, C/h)
        logits = split_heads(self.query(tokens), self.heads) @ keys.transpose(-1, -2) * self.scale
        update = (logits.softmax(-1) @ keys).transpose(1, 2).flatten(2)
        update = update * (2 * F.hardsigmoid(self.gate(tokens)))
        return self.norm(tokens + self.proj(update)), logits.mean(1).unflatten(-1, x.shape[-2:])


class PlainFormerToMobile(FormerToMobile):
    """:class:`mfdet.layers.FormerToMobile`, without position parts."""

    def forward(self, x, tokens, position=None):
        """See the base class."""
        queries = split_heads(x.flatten(2).transpose(1, 2), self.heads)  # (B, h, H·W, C/h)
        keys, values = (split_heads(layer(tokens), self.heads) for layer in (self.key, self.value))
        update = (queries @ keys.transpose(-1, -2) * self.scale).softmax(-1) @ values
        return x + update.transpose(1, 2).flatten(2).transpose(1, 2).reshape(x.shape)


class PlainDynamicReLU(DynamicReLU):
    """:class:`mfdet.layers.DynamicReLU`, spatial-shared."""

    def forward(self, x, tokens, mixing=None):
        """See the base class."""
        h1, h2 = self.coefficients(tokens[:, 0])[..., None, None].chunk(2, dim=1)
        return torch.maximum(2 * h1 * x, (2 * h2 - 1) * x)


PLAIN = {MobileToFormer: PlainMobileToFormer, FormerToMobile: PlainFormerToMobile, DynamicReLU: PlainDynamicReLU}


def straightforward(model):
    """Turn a spatial-shared backbone, in place, into the straightforward form of the same equations; return it."""
    for module in model.modules():
        if type(module) in PLAIN:
            module.__class__ = PLAIN[type(module)]
    return model
