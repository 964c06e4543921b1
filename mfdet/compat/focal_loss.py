"""The sigmoid focal loss and its gradient without a compiler (mmcv's ``sigmoid_focal_loss_forward``/``_backward``).

With ``z`` the logit for the target's class and minus the logit for any other, ``p = sigmoid(z)`` and ``q = 1 - p``, an
element's loss is ``-a * q ** gamma * log(p)``, where ``a`` is ``alpha`` for the target's class and ``1 - alpha``
otherwise (Lin et al., ICCV 2017). Working with ``z`` keeps small probabilities exact, so that the loss goes on growing
with the logit where mmcv's kernels, which clamp the probability, stop at about 87.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of every element to ``output``.

    Args:
        input: (N, C) logits. float64 is computed as such, anything else in float32.
        target: (N,) int64 labels; one outside ``0..C-1`` (``C`` by custom) is background, no class at all.
        weight: (C,) weights by the target's class, background having 1; or empty.
        output: (N, C), overwritten.
        gamma: the focusing exponent.
        alpha: the weight of the target's class, others having ``1 - alpha``.
    """
    _, z, scale = _parts(input, target, weight, alpha)
    output.copy_(torch.sigmoid(-z).pow_(gamma).mul_(F.logsigmoid(z)).mul_(scale).neg_())


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of every element's loss by its logit to ``grad_input`` (N, C).

    The other arguments are those of :func:`sigmoid_focal_loss_forward`.
    """
    positive, z, scale = _parts(input, target, weight, alpha)
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    slope = p.mul_(F.logsigmoid(z)).mul_(gamma).sub_(q).mul_(q.pow(gamma)).mul_(scale)
    grad_input.copy_(torch.where(positive, slope, -slope))


def _parts(input: Tensor, target: Tensor, weight: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Which elements are their target's class (bool), ``z`` and the loss's constant factor, each (N, C)."""
    logits = input.detach()
    if logits.dtype != torch.float64:
        logits = logits.float()
    classes = logits.shape[1]
    positive = target[:, None] == torch.arange(classes, device=target.device)
    scale = torch.where(positive, logits.new_tensor(alpha), logits.new_tensor(1 - alpha))
    if weight.numel():
        background = (target < 0) | (target >= classes)
        padded = F.pad(weight.detach().to(logits.dtype), (0, 1), value=1.0)
        scale *= padded[target.masked_fill(background, classes)][:, None]
    return positive, torch.where(positive, logits, -logits), scale
