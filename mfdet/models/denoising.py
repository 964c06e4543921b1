"""Denoising: objects with noise on them are further queries of a training, whose objects need not be matched.

DN-DETR (Li et al., CVPR 2022, section 4), and with contrastive negatives DINO (Zhang et al., ICLR 2023, section 3.3).
"""

import dataclasses
from numbers import Real

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from torch import nn

from mfdet.errors import InputError
from mfdet.layers.position import place_code
from mfdet.models.queries import group_mask
from mfdet.values import is_count

EDGE = 1e-4  # how near the numbers of a noised box come to 0 and 1, whose logits are infinite


@dataclasses.dataclass
class NoisedObjects:
    """Objects with noise on them: N for each of B images, in groups each of which holds all objects of its image.

    Images with fewer objects than the one with most are padded.

    Attributes:
        boxes: with noise, normalised (cx, cy, w, h), (B, N, 4).
        labels: with noise, (B, N).
        real: bool (B, N), False at padding.
        groups: sizes of the groups.
        image, query: long (P + Q,), which of the N are no padding: P positives, then Q contrastive negatives.
        target: long (P,), the objects of the positives, counted through the images of the batch.
    """

    boxes: torch.Tensor
    labels: torch.Tensor
    real: torch.Tensor
    groups: tuple
    image: torch.Tensor
    query: torch.Tensor
    target: torch.Tensor

    def attention(self, groups):
        """Return the mask of the self-attention for queries in ``groups`` and these after them.

        Each group attends to itself alone, and nothing attends to padding but padding to itself.

        Returns:
            bool (B, 1, M, M), see :class:`mfdet.models.queries.Queries`.
        """
        mask = group_mask((*groups, *self.groups), self.real.device)
        real = F.pad(self.real, (sum(groups), 0), value=True)
        return mask & real[:, None, None] | torch.eye(len(mask), dtype=torch.bool, device=mask.device)


@dataclasses.dataclass
class Noise:
    """Puts noise on the objects of a batch, and computes the losses of what is made of them.

    Args:
        num_classes: number of classes K.
        box_noise_scale: λ of DN-DETR, which has 0.4: a centre moves by less than λ times half the width and height,
            which become 1 − λ to 1 + λ times as large.
        label_noise: share of the labels that become another, each of the others as likely; with one class there is
            none. DN-DETR has 0.2. At 1 − 1/K a label says nothing any more.
        contrastive: as many negatives, whose target is no-object: in each of the four, their noise is λ to 2λ.
        max_queries: most queries for an image. As many groups as fit are made, negatives included; of more objects
            than fit a group, some are drawn.
        weight: factor of the losses.

    Raises:
        InputError: an argument is out of its range.
    """

    num_classes: int
    box_noise_scale: float = 0.4
    label_noise: float = 0.2
    contrastive: bool = False
    max_queries: int = 100
    weight: float = 1.0

    def __post_init__(self):
        def number(value):
            return isinstance(value, Real) and not isinstance(value, bool)

        if not isinstance(self.contrastive, bool):
            raise InputError(f'denoising.contrastive must be True or False, got {self.contrastive!r}')
        most = 0.5 if self.contrastive else 1  # sizes stay above 0
        if not number(self.box_noise_scale) or not 0 < self.box_noise_scale <= most:
            raise InputError(
                f'denoising.box_noise_scale must be above 0 and at most {most}'
                f'{" with contrastive negatives" if self.contrastive else ""}, got {self.box_noise_scale!r}'
            )
        if not number(self.label_noise) or not 0 <= self.label_noise <= 1:
            raise InputError(f'denoising.label_noise must be from 0 to 1, got {self.label_noise!r}')
        least = 1 + self.contrastive
        if not is_count(self.max_queries) or self.max_queries < least:
            raise InputError(
                f'denoising.max_queries must be a whole number of at least {least}, got {self.max_queries!r}'
            )
        if not number(self.weight) or not 0 < self.weight < float('inf'):
            raise InputError(f'denoising.weight must be a number above 0, got {self.weight!r}')

    @classmethod
    def of(cls, options, num_classes, known=('box_noise_scale', 'label_noise', 'contrastive', 'max_queries', 'weight')):
        """Make one of the option ``denoising`` of a head, which may hold what is ``known``.

        Raises:
            InputError: it is no dict, or holds something else.
        """
        if not isinstance(options, dict) or set(options) - set(known):
            raise InputError(f'denoising must be a dict with any of {", ".join(known)}, got {options!r}')
        return cls(num_classes, **options)

    def boxes(self, boxes, negative):
        """Put noise on boxes (..., 4), (cx, cy, w, h); that of negatives where ``negative``, 0 or 1, (..., 1), is 1."""
        noise = self.box_noise_scale * (torch.rand_like(boxes) + negative)
        shift, growth = (noise * (2 * torch.randint_like(boxes, 2) - 1)).split(2, -1)
        centres, sizes = boxes.split(2, -1)
        return torch.cat([centres + sizes / 2 * shift, sizes * (1 + growth)], -1)

    def labels(self, labels):
        """Put noise on labels of any shape."""
        if self.num_classes == 1 or not self.label_noise:
            return labels
        others = (labels + torch.randint_like(labels, 1, self.num_classes)) % self.num_classes
        return torch.where(torch.rand(labels.shape, device=labels.device) < self.label_noise, others, labels)

    @torch.no_grad()
    def __call__(self, objects, sizes):
        """Return the :class:`NoisedObjects` of a batch.

        There is at least one query for each image, be it padding, so that every weight has a gradient.

        Args:
            objects: B InstanceData with ``bboxes`` (T_b, 4) xyxy in pixels and ``labels`` (T_b,).
            sizes: (B, 4) image width, height, width, height in pixels.
        """
        kinds = 1 + self.contrastive
        offsets, chosen = np.cumsum([0, *map(len, objects)]), []
        for item, offset in zip(objects, offsets[:-1], strict=True):
            chosen.append(torch.randperm(len(item)).numpy()[: self.max_queries // kinds] + offset)
        slots = max(1, *map(len, chosen))
        target = np.full((len(objects), slots), -1)
        for row, some in zip(target, chosen, strict=True):
            row[: len(some)] = some
        groups = max(1, self.max_queries // (kinds * slots))
        target = np.tile(target, kinds * groups)  # each group: positives, then negatives
        negative = np.arange(target.shape[1]) // slots % kinds == 1
        pairs = [np.nonzero((target >= 0) & (negative == kind)) for kind in range(kinds)]

        def on_device(array):
            return torch.from_numpy(array).to(sizes.device)

        # Padding is -1, which is the last row here.
        truth = [bbox_xyxy_to_cxcywh(item.bboxes.to(sizes) / size) for item, size in zip(objects, sizes, strict=True)]
        truth = torch.cat([*truth, sizes.new_full((1, 4), 0.5)])
        labels = torch.cat([*(item.labels for item in objects), sizes.new_zeros(1, dtype=torch.long)])
        index = on_device(target)
        boxes = self.boxes(truth[index], on_device(negative)[:, None].to(truth))
        image, query = (on_device(np.concatenate(part)) for part in zip(*pairs, strict=True))
        return NoisedObjects(
            boxes.clamp(EDGE, 1 - EDGE),
            self.labels(labels[index]),
            index >= 0,
            (kinds * slots,) * groups,
            image,
            query,
            on_device(target[pairs[0]]),
        )

    def losses(self, loss_of_pairs, logits, boxes, objects, sizes, noised):
        """Compute the losses of the predictions.

        Args:
            loss_of_pairs: of :class:`mfdet.models.MobileFormerHead`.
            logits, boxes: of the N queries, after each block: (L, B, N, ...).
            objects, sizes: as given to this object.
            noised: what it returned.

        Returns:
            What ``loss_of_pairs`` returns, with ``dn.`` before the names.
        """
        # Each query that is no padding stands as an image of its own, and padding nowhere.
        logits, boxes = (x[:, noised.image, noised.query][:, :, None].float() for x in (logits, boxes))
        block, query = (
            x.flatten()
            for x in torch.meshgrid(
                torch.arange(len(logits), device=boxes.device),
                torch.arange(len(noised.target), device=boxes.device),
                indexing='ij',
            )
        )
        pairs = block, query, torch.zeros_like(query), noised.target.repeat(len(logits))
        losses = loss_of_pairs(logits, boxes, objects, sizes[noised.image], pairs)
        return {f'dn.{name}': self.weight * loss for name, loss in losses.items()}


class DenoisingQueries(nn.Module):
    """Queries of noised objects for :class:`mfdet.models.MobileFormerHead`.

    A query starts with its noised label and the size of its noised box as feature part, the place of the box as
    position part, as the learned ones, and the box as reference. The head sees these queries apart from its own.

    Args:
        noise: :class:`Noise`.
        query_dim: width d of a query.
    """

    def __init__(self, noise, query_dim):
        super().__init__()
        self.noise = noise
        self.query_dim = query_dim
        self.label_code = nn.Embedding(noise.num_classes, query_dim)
        self.size_code = nn.Linear(query_dim, query_dim)

    def forward(self, queries, objects, sizes):
        """Append these queries to others.

        Args:
            queries: :class:`mfdet.models.queries.Queries`.
            objects, sizes: see :class:`Noise`.

        Returns:
            The :class:`mfdet.models.queries.Queries` and the :class:`NoisedObjects`.
        """
        noised = self.noise(objects, sizes)
        places, extents = (place_code(part, self.query_dim) for part in noised.boxes.split(2, -1))
        features = self.label_code(noised.labels) + self.size_code(extents)
        extended = queries.extended(features, places, noised.boxes.logit(), noised.groups)
        extended.mask = noised.attention(queries.groups)
        return extended, noised
