"""Targets of a classifier in training: label smoothing and mixup."""

import torch
import torch.nn.functional as F


def smooth_targets(labels, num_classes, smoothing):
    """Return distributions over the classes, float (B, K), for labels (B,) (Szegedy et al., CVPR 2016, section 7).

    The true class has 1 − ``smoothing`` and ``smoothing`` / K, each other class ``smoothing`` / K.
    """
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def mixup(images, targets, alpha):
    """Mix a batch with itself in another order (Zhang et al., ICLR 2018, section 2).

    x = λ x_i + (1 − λ) x_j and y = λ y_i + (1 − λ) y_j, with one λ from Beta(α, α) for the batch, as in the authors'
    code.

    Args:
        images: normalised images (B, 3, H, W).
        targets: distributions over the classes (B, K).
        alpha: α, above 0.

    Returns:
        Mixed images and targets, of the same shapes.
    """
    # On the CPU, so that GPU and CPU draw the same; in double precision, since a small α draws numbers close to 0.
    concentration = torch.tensor(alpha, dtype=torch.float64)
    share = float(torch.distributions.Beta(concentration, concentration).sample())
    order = torch.randperm(len(images)).to(images.device)
    return (
        share * images + (1 - share) * images[order],
        share * targets + (1 - share) * targets[order],
    )
