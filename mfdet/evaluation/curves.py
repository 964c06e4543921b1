"""Figures that depend on the score threshold or on the object: best F1, calibration, recall by size and crowding."""

from dataclasses import dataclass

import numpy as np

AREAS = ('AP', 'APs', 'APm', 'APl')


@dataclass(frozen=True)
class Point:
    """What a detector does at a score threshold: detections of this score or more are kept."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Bins:
    """Recall in groups of objects.

    Attributes:
        edges: float (bins + 1,); a group holds the values from its edge up to the next, which the last one includes.
        objects: int (bins,), how many there are.
        recall: float (bins,), the share of them that is found by any detection.
        kept: float (bins,), the share that is found by one whose score reaches the threshold.
    """

    edges: np.ndarray
    objects: np.ndarray
    recall: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """How far scores are the share of detections that are right.

    Attributes:
        score, precision: float (bins,), means of the detections of a bin; nan for an empty one. Bins are ten equal
            parts of 0 to 1.
        detections: int (bins,).
        error: expected calibration error, the mean of ``|precision - score|`` over all detections.
    """

    score: np.ndarray
    precision: np.ndarray
    detections: np.ndarray
    error: float


def class_table(result, totals):
    """Return a row for each class: name, objects, AP, AP50, AP75, APs, APm, APl; -1 where there is no object.

    Args:
        result: a :class:`mfdet.evaluation.coco.CocoResult`.
        totals: objects of each class.
    """
    rows = []
    for index, (row, total) in enumerate(zip(result.per_class, totals, strict=True)):
        sizes = {name: float(result.precision[:, :, index, area].mean()) for area, name in enumerate(AREAS) if area}
        rows.append({'name': row['name'], 'objects': int(total), **row, **sizes})
    return rows


def precision_curves(result, index=None):
    """Return precision at the 101 recalls of COCO, at IoU 0.50, 0.75 and as the mean of 0.50 to 0.95.

    Args:
        result: a :class:`mfdet.evaluation.coco.CocoResult`.
        index: of the class; None for the mean over classes.

    Returns:
        dict of label to float (101,), or None where there is no object.
    """
    precision = result.precision[..., 0]
    if index is None:
        with_objects = (precision > -1).all((0, 1))
        if not with_objects.any():
            return None
        precision = precision[:, :, with_objects].mean(-1)
    else:
        precision = precision[:, :, index]
        if (precision < 0).any():
            return None
    return {'IoU 0.50': precision[0], 'IoU 0.75': precision[5], 'mean of 0.50:0.95': precision.mean(0)}


def point_at(score, right, total, threshold):
    """Return the :class:`Point` of a threshold; precision is 0 if nothing is kept.

    Args:
        score, right: of the detections that count.
        total: number of objects.
        threshold: least score to keep.
    """
    kept = score >= threshold
    true = int(right[kept].sum())
    precision, recall = true / max(1, int(kept.sum())), true / max(1, total)
    return Point(float(threshold), precision, recall, 2 * true / max(1, int(kept.sum()) + total))


def best_f1(score, right, total):
    """Return the :class:`Point` of best F1, of equal ones that of highest score; None if no detection is right.

    Args:
        score, right: of the detections that count.
        total: number of objects.
    """
    if not right.any():
        return None
    order = np.argsort(-score, kind='stable')
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)  # equal scores are kept or not together
    f1 = 2 * np.cumsum(right[order])[ends] / (ends + 1 + total)
    return point_at(score, right, total, score[order][ends[f1.argmax()]])


def best_thresholds(matches):
    """Return the :class:`Point` of best F1 over all classes, pooled, and a list with that of each class, or None."""
    found, totals = matches.found, matches.totals
    counts = ~found.ignored

    def best(rows, total):
        return best_f1(found.score[rows], found.right[rows], int(total))

    return best(counts, totals.sum()), [best(counts & (found.label == i), total) for i, total in enumerate(totals)]


def calibration(matches, bins=10):
    """Return the :class:`Calibration`, None if there are no detections or a score is outside 0 to 1."""
    found = matches.found
    score, right = found.score[~found.ignored], found.right[~found.ignored]
    if not len(score) or score.min() < 0 or score.max() > 1:
        return None
    place = np.minimum((score * bins).astype(int), bins - 1)
    number = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights, minlength=bins) for weights in (score, right)]
    error = float(np.abs(sums[1] - sums[0]).sum() / len(score))
    with np.errstate(invalid='ignore'):
        return Calibration(sums[0] / number, sums[1] / number, number, error)


def recall_by(matches, values, threshold, bins=8, edges=None):
    """Return the :class:`Bins` of the objects that are no crowds, by some value of each; None if there are none.

    Args:
        matches: a :class:`mfdet.evaluation.matching.Matches`.
        values: float (objects,).
        threshold: score for ``kept``.
        bins: number of groups of about as many objects each, fewer if values are equal.
        edges: their edges instead.
    """
    objects, found = matches.objects, matches.found
    regular = ~objects.crowd
    if not regular.any():
        return None
    values, found_by = np.asarray(values, float)[regular], objects.found_by[regular]
    if edges is None:
        quantiles = np.quantile(values, np.linspace(0, 1, bins + 1), method='lower')
        edges = np.unique(quantiles)
        if quantiles[-2] == quantiles[-1]:  # so many objects have the largest value that they are a group of their own
            edges = np.append(edges, edges[-1])
    edges = np.asarray(edges, float)
    place = np.clip(np.searchsorted(edges, values, 'right') - 1, 0, len(edges) - 2)
    kept = found_by >= 0
    kept[kept] = found.score[found_by[kept]] >= threshold
    number = np.bincount(place, minlength=len(edges) - 1)
    with np.errstate(invalid='ignore'):
        shares = [np.bincount(place, hit, minlength=len(number)) / number for hit in (found_by >= 0, kept)]
    return Bins(edges, number, *shares)


def crowding(matches):
    """Return the number of objects, crowds left out, in the image of each object: int (objects,)."""
    objects = matches.objects
    return np.bincount(objects.image[~objects.crowd], minlength=len(matches.image_ids))[objects.image]
