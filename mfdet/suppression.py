"""Greedy non-maximum suppression in NumPy."""

import numpy as np

from mfdet.errors import InputError
from mfdet.values import is_count

FIELDS = ('iou_threshold', 'score_thr', 'min_size', 'max_per_img')  # of the metadata's ``nms``


def check_suppression(nms):
    """Check the metadata's ``nms``, the arguments of :func:`suppress`.

    Raises:
        InputError: an entry is missing or wrong.
    """
    sound = isinstance(nms, dict) and set(nms) == set(FIELDS) and is_count(nms['max_per_img'])
    if not sound or not all(isinstance(nms[name], int | float) and -1 <= nms[name] < 1e6 for name in FIELDS):
        raise InputError(f"'nms' must be numbers {', '.join(FIELDS)}, not {nms!r}")


def suppress(boxes, scores, labels, iou_threshold, score_thr, min_size, max_per_img):
    """Keep the best of the candidates of each class that overlap, as mmdet does.

    Args:
        boxes: float32 (B, N, 4) xyxy.
        scores: float32 (B, N), in any order.
        labels: (B, N) class indices.
        iou_threshold: a box goes when its IoU with a better one of its class that stays exceeds this.
        score_thr: only scores above this count.
        min_size: only boxes whose sides are both longer than this, in pixels, count.
        max_per_img: most to keep of an image, n.

    Returns:
        boxes (B, n, 4), scores (B, n), best first, and labels int64 (B, n); unused rows are 0.
    """
    count = len(scores)
    found = np.zeros((count, max_per_img, 4), np.float32), np.zeros((count, max_per_img), np.float32)
    found = *found, np.zeros((count, max_per_img), np.int64)
    for image in range(count):
        counts = (scores[image] > score_thr) & ((boxes[image, :, 2:] - boxes[image, :, :2]) > min_size).all(1)
        rows = boxes[image, counts], scores[image, counts], labels[image, counts]
        if not len(rows[1]):
            continue
        apart = rows[0] + (rows[2] * (rows[0].max() + np.float32(1)))[:, None].astype(np.float32)
        kept = greedy(apart, np.argsort(-rows[1], kind='stable'), np.float32(iou_threshold), 0)[:max_per_img]
        for slot, row in zip(found, rows, strict=True):
            slot[image, : len(kept)] = row[kept]
    return found


@np.errstate(all='ignore')
def greedy(boxes: np.ndarray, order: np.ndarray, threshold: float, offset: int) -> list[int]:
    """Indices of the boxes (N, 4) kept when visited in this order.

    Each box kept is compared at once with all those that can meet it along x. This is numpy because torch would share
    such short steps among threads, which takes many times longer where other processes keep the cores busy.
    """
    by_x1 = boxes[:, 0].argsort()
    place = by_x1.argsort()
    corners = boxes[by_x1].T.copy()
    areas = areas_of(corners, offset)
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
            dropped[near[this]] |= iou_with(corners, areas, this, near[this], offset) > threshold
    return kept


def iou_with(corners: np.ndarray, areas: np.ndarray, this: int, others: slice, offset: int) -> np.ndarray:
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


def areas_of(corners: np.ndarray, offset: int) -> np.ndarray:
    """Areas (N,) of boxes of which (4, N) corners are given."""
    width, height = corners[2:] - corners[:2] + offset
    return width * height
