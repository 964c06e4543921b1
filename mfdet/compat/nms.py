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
    # Only float32 without an offset means the same there; its sort is stable, so casting sorted scores is harmless.
    torchvision_nms = _torchvision_nms(boxes.device.type) if offset == 0 and boxes.dtype == torch.float32 else None
    if torchvision_nms:
        return order[torchvision_nms(boxes[order], scores.to(boxes.dtype), threshold)]
    kept = _greedy(boxes.cpu().numpy(), order.cpu().numpy(), threshold, offset)
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


@np.errstate(all='ignore')
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
    corners = boxes.detach().to(dtype).T.contiguous().numpy()
    scores = scores.detach().to(dtype).numpy().copy()
    threshold = scores.dtype.type(iou_threshold)
    areas = _areas(corners, offset)
    left = np.arange(len(scores))
    taken, taken_scores = [], []
    while len(left):
        top = int(scores.argmax())
        taken.append(left[top])
        taken_scores.append(scores[top])
        iou = _iou(corners, areas, top, slice(None), offset)
        iou[np.isnan(iou)] = 0
        if method == 2:
            scores *= np.exp(-(iou * iou) / sigma)
        else:
            scores *= np.where(iou >= threshold, 1 - iou if method == 1 else 0, 1).astype(scores.dtype)
        keep = ~(scores < min_score)
        keep[top] = False
        left, scores, corners, areas = left[keep], scores[keep], corners[:, keep], areas[keep]
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


@np.errstate(all='ignore')
def _greedy(boxes: np.ndarray, order: np.ndarray, threshold: float, offset: int) -> list[int]:
    """Indices of the boxes (N, 4) kept when visited in this order.

    Each box kept is compared at once with all those that can meet it along x. This is numpy because torch would share
    such short steps among threads, which takes many times longer where other processes keep the cores busy.
    """
    by_x1 = boxes[:, 0].argsort()
    place = by_x1.argsort()
    corners = boxes[by_x1].T.copy()
    areas = _areas(corners, offset)
    start, end = np.zeros(len(boxes), dtype=int), np.full(len(boxes), len(boxes))
    if threshold >= 0:  # else no intersection is enough
        # Sorted by x1, no box meets those that begin behind its x2, nor those in front of the first that ends at its x1
        # or behind. Whatever rounding does to these bounds, what is left out has an intersection of no width.
        x1, _, x2, _ = corners
        start = np.maximum.accumulate(x2).searchsorted(x1 - offset)
        end = x1.searchsorted(x2 + offset, side='right')
    near = [slice(*bounds) for bounds in zip(start.tolist(), end.tolist(), strict=True)]
    dropped = np.zeros(len(boxes), dtype=bool)
    kept = []
    for index, this in zip(order.tolist(), place[order].tolist(), strict=True):
        if not dropped[this]:
            kept.append(index)
            dropped[near[this]] |= _iou(corners, areas, this, near[this], offset) > threshold
    return kept


def _iou(corners: np.ndarray, areas: np.ndarray, this: int, others: slice, offset: int) -> np.ndarray:
    """IoU of one box with others, of which (4, N) corners and (N,) areas are given; NaN if neither has an area."""
    box, others_corners = corners[:, this : this + 1], corners[:, others]
    sides = np.minimum(box[2:], others_corners[2:])
    sides -= np.maximum(box[:2], others_corners[:2])
    if offset:
        sides += offset
    inter, height = np.maximum(sides, 0, out=sides)
    inter *= height
    union = areas[this] + areas[others]
    union -= inter
    return np.divide(inter, union, out=union)


def _areas(corners: np.ndarray, offset: int) -> np.ndarray:
    width, height = corners[2:] - corners[:2] + offset
    return width * height
