"""Non-maximum suppression without a compiler: the greedy one (mmcv's ``nms``) and Soft-NMS (``softnms``).

Both compute the IoU as mmcv's and torchvision's CPU kernels do: widths are ``x2 - x1 + offset``, the sides of the
intersection are clamped at 0 and those of the boxes are not, and an IoU that is not a number (two boxes of zero area)
is no overlap. OpenCV's ``cv2.dnn.NMSBoxes`` is not used because it cannot be made to agree: tried with OpenCV 4.12, it
lets one zero-area box suppress another, refuses a negative score threshold, drops every score at or below it, and by
taking the IoU as ``1 - float(distance)`` decides otherwise where the IoU equals the threshold, 1/6 for example.
"""

import functools

import numpy as np
import torch
from torch import Tensor

# Boxes whose mutual overlaps are resolved on the host at once, and the pairs compared in one go (up to 40 B each in
# float32): few enough for a processor's cache, many enough to be worth the launch of a kernel on another device.
_BLOCK = 256
_CPU_PAIRS, _PAIRS = 1 << 17, 1 << 22


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression.

    Boxes are visited by descending score, the lower index first among equal scores; one is dropped when its IoU with a
    box kept before it exceeds the threshold.

    Args:
        boxes: (N, 4), ``x1, y1, x2, y2`` in pixels. float64 is computed as such, anything else in float32.
        scores: (N,), any real values.
        iou_threshold: rounded to the precision of the computation, as mmcv's kernels do.
        offset: 1 where ``x2`` and ``y2`` are the last pixel inside the box, else 0.

    Returns:
        (K,) int64 indices of the kept boxes by descending score, on the device of ``boxes``.
    """
    boxes = boxes.detach()
    if boxes.dtype != torch.float64:
        boxes = boxes.float()
    threshold = torch.tensor(iou_threshold, dtype=boxes.dtype).item()
    scores, order = scores.detach().sort(descending=True, stable=True)
    boxes = boxes[order]
    # Only float32 without an offset means the same there; its sort is stable, so casting sorted scores is harmless.
    torchvision_nms = _torchvision_nms(boxes.device.type) if offset == 0 and boxes.dtype == torch.float32 else None
    if torchvision_nms is None:
        return order[_nms_sorted(boxes, threshold, offset)]
    return order[torchvision_nms(boxes, scores.to(boxes.dtype), threshold)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): overlapping boxes lose score instead of being dropped.

    The box with the highest score is taken (the lower index first among equal ones), the scores of all others are
    multiplied by a weight that depends on their IoU with it, those that fall below ``min_score`` are dropped, and so on
    with what is left. The first box is always taken.

    Args:
        boxes: (N, 4), ``x1, y1, x2, y2`` in pixels, on the CPU.
        scores: (N,).
        dets: (N, 5), filled in place: its first K rows become the boxes taken and their scores at that moment.
        iou_threshold: the IoU from which methods 0 and 1 apply their weight.
        sigma: the width of method 2.
        min_score: the score below which a box is dropped.
        method: 0, weight 0; 1, weight ``1 - IoU``; 2, weight ``exp(-IoU ** 2 / sigma)`` whatever the threshold.
        offset: 1 where ``x2`` and ``y2`` are the last pixel inside the box, else 0.

    Returns:
        (K,) int64 indices of the boxes taken, in that order.
    """
    dtype = torch.float64 if boxes.dtype == torch.float64 else torch.float32
    corners = boxes.detach().to(dtype).T.contiguous()
    scores = scores.detach().to(dtype).numpy().copy()
    threshold = scores.dtype.type(iou_threshold)
    left = np.arange(len(scores))
    taken, taken_scores = [], []
    while len(left):
        top = int(scores.argmax())
        taken.append(left[top])
        taken_scores.append(scores[top])
        iou = _iou(corners[:, top : top + 1], corners, offset)[0].nan_to_num_(nan=0.0).numpy()
        if method == 2:
            scores *= np.exp(-(iou * iou) / sigma)
        else:
            scores *= np.where(iou >= threshold, 1 - iou if method == 1 else 0, 1).astype(scores.dtype)
        keep = ~(scores < min_score)
        keep[top] = False
        left, scores, corners = left[keep], scores[keep], corners[:, torch.from_numpy(keep)]
    indices = torch.from_numpy(np.array(taken, dtype=np.int64))
    dets[: len(taken), :4] = boxes.detach()[indices].to(dets.dtype)
    dets[: len(taken), 4] = torch.from_numpy(np.array(taken_scores, dtype=scores.dtype))
    return indices


@functools.cache
def _torchvision_nms(device_type: str):
    """``torchvision.ops.nms`` if a tiny call of it works on this type of device, else None.

    A torchvision built for another torch raises RuntimeError at its import or at the call, one built without CUDA
    raises NotImplementedError there.
    """
    try:
        from torchvision.ops import nms as torchvision_nms

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]], device=device_type)
        kept = torchvision_nms(boxes, torch.tensor([0.5, 0.75], device=device_type), 0.5)
    except (ImportError, AttributeError, OSError, RuntimeError):
        return None
    return torchvision_nms if kept.tolist() == [1] else None


def _nms_sorted(boxes: Tensor, threshold: float, offset: int) -> Tensor:
    """Indices of the kept ones among boxes (N, 4) sorted by descending score.

    The leading block's boxes are resolved among themselves; those kept then drop boxes behind the block, so that the
    next block again consists of boxes that nothing before it suppresses.
    """
    corners = boxes.T.contiguous()
    left = torch.arange(len(boxes), device=boxes.device)
    kept = [left[:0]]
    pairs = _CPU_PAIRS if boxes.device.type == 'cpu' else _PAIRS
    while len(left):
        block = corners[:, :_BLOCK]
        chosen = torch.tensor(_greedy(_iou(block, block, offset) > threshold), device=boxes.device)
        kept.append(left[chosen])
        block, corners, left = block[:, chosen], corners[:, _BLOCK:], left[_BLOCK:]
        parts = corners.split(pairs // len(chosen), dim=1)
        overlapped = torch.cat([(_iou(block, part, offset) > threshold).any(0) for part in parts])
        corners, left = corners[:, ~overlapped], left[~overlapped]
    return torch.cat(kept)


def _greedy(overlap: Tensor) -> list[int]:
    """Indices kept by greedy suppression, given which of the (N, N) pairs overlap."""
    clear = ~overlap.cpu().numpy()
    pending = np.ones(len(clear), dtype=bool)
    kept = []
    while pending.any():
        first = int(pending.argmax())
        kept.append(first)
        pending &= clear[first]
        pending[first] = False  # a box of zero area does not overlap itself
    return kept


def _iou(a: Tensor, b: Tensor, offset: int) -> Tensor:
    """IoU of every box of a (4, N) with every box of b (4, M): (N, M), NaN for two boxes of zero area."""
    sides = torch.minimum(a[2:, :, None], b[2:, None]).sub_(torch.maximum(a[:2, :, None], b[:2, None]))
    width, height = sides.add_(offset).clamp_(min=0)
    inter = width.mul_(height)
    union = (_area(a, offset)[:, None] + _area(b, offset)).sub_(inter)
    return inter.div_(union)


def _area(corners: Tensor, offset: int) -> Tensor:
    width, height = corners[2:] - corners[:2] + offset
    return width * height
