"""Hungarian matching of predictions to objects (DETR, Carion et al., ECCV 2020, equation 1)."""

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps, bbox_xyxy_to_cxcywh
from scipy.optimize import linear_sum_assignment

from mfdet.errors import NonFiniteError


class HungarianMatcher:
    """One-to-one matching of least cost between the queries and the objects of each image.

    The cost of a pair is −cost_class · p(class) + cost_bbox · L1 − cost_giou · GIoU, with L1 on normalised
    (cx, cy, w, h) and GIoU in pixels. With sigmoid scores −p(class) becomes the difference of the focal losses of the
    class and of its absence (Deformable DETR, Zhu et al., ICLR 2021). The costs of all blocks and images are computed
    on the device and reach the host in one transfer.

    Args:
        cost_class, cost_bbox, cost_giou: weights; DETR's are 1, 5 and 2, Deformable DETR's 2, 5 and 2.
        use_sigmoid: classes are scored one by one, and there is no logit for no-object.
    """

    def __init__(self, cost_class=1.0, cost_bbox=5.0, cost_giou=2.0, use_sigmoid=False):
        self.cost_class = cost_class
        self.cost_bbox = cost_bbox
        self.cost_giou = cost_giou
        self.use_sigmoid = use_sigmoid

    @torch.no_grad()
    def costs(self, logits, boxes, objects, sizes):
        """Compute the costs of all pairs.

        Args:
            logits: (L, B, M, K + 1) for L blocks, B images, M queries, the last class being no-object; (L, B, M, K)
                with ``use_sigmoid``.
            boxes: (L, B, M, 4) normalised (cx, cy, w, h).
            objects: B InstanceData with ``bboxes`` (T_b, 4) xyxy in pixels and ``labels`` (T_b,).
            sizes: (B, 4) image width, height, width, height in pixels.

        Returns:
            (L, B, M, T) with T = max T_b; columns past T_b mean nothing.
        """
        count = max(len(item) for item in objects)
        truth = boxes.new_ones(len(objects), count, 4)
        labels = boxes.new_zeros(len(objects), count, dtype=torch.long)
        for i, item in enumerate(objects):
            truth[i, : len(item)] = item.bboxes
            labels[i, : len(item)] = item.labels
        shape = (*logits.shape[:3], count)
        class_cost = self.class_costs(logits).gather(-1, labels[None, :, None].expand(shape))
        normalised = bbox_xyxy_to_cxcywh(truth / sizes[:, None])
        bbox_cost = (boxes[..., None, :] - normalised[None, :, None]).abs().sum(-1)
        pixels = bbox_cxcywh_to_xyxy(boxes) * sizes[:, None]
        giou = bbox_overlaps(pixels, truth.expand(len(boxes), -1, -1, -1), mode='giou')
        return self.cost_class * class_cost + self.cost_bbox * bbox_cost - self.cost_giou * giou

    def class_costs(self, logits):
        """Return what it costs to give a query a class, in the shape of the logits."""
        if not self.use_sigmoid:
            return -logits.softmax(-1)
        scores = logits.sigmoid()
        absent = 0.75 * scores.square() * F.softplus(logits)  # focal losses with α = 0.25 and γ = 2
        present = 0.25 * (1 - scores).square() * F.softplus(-logits)
        return present - absent

    def __call__(self, logits, boxes, objects, sizes, groups=None, names=None):
        """Match.

        Args:
            logits, boxes, objects, sizes: see :meth:`costs`; logits and boxes in float32.
            groups: sizes of consecutive groups of queries, each of which is matched to all objects by itself; None
                for one group.
            names: names of the images for messages.

        Returns:
            Long tensors (P,) on the device of the boxes: block, image, query and object of each of the P pairs; the
            object counts through the images of the batch.

        Raises:
            NonFiniteError: a cost is not finite, because a box of the annotations or a prediction is not.
        """
        ends = np.cumsum(groups or [boxes.shape[2]])
        starts = [0, *ends[:-1]]
        offsets = np.cumsum([0, *map(len, objects)])
        pairs = [np.empty((4, 0), np.int64)]
        costs = self.costs(logits, boxes, objects, sizes).cpu().numpy() if offsets[-1] else ()
        for block, block_costs in enumerate(costs):
            for image, (cost, item) in enumerate(zip(block_costs, objects, strict=True)):
                cost = cost[:, : len(item)]
                if not np.isfinite(cost).all():
                    raise NonFiniteError(self._explain(block, item, names[image] if names else f'{image} of the batch'))
                for start, end in zip(starts, ends, strict=True):
                    query, target = linear_sum_assignment(cost[start:end])
                    where = np.full_like(query, block), np.full_like(query, image)
                    pairs.append(np.stack([*where, query + start, target + offsets[image]]))
        return torch.from_numpy(np.concatenate(pairs, axis=1)).to(boxes.device).unbind()

    @staticmethod
    def _explain(block, item, name):
        """Say which side of a matching that cannot be done is at fault."""
        if not item.bboxes.isfinite().all():
            return f'image {name}: an annotated box is not finite; correct the annotation file or the pipeline'
        return (
            f'image {name}: the predictions of head block {block + 1} are not finite, training has diverged; '
            'lower optim_wrapper.optimizer.lr, or train without --amp'
        )
