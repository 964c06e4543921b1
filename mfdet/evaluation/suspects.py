"""Images where a detector errs most, and annotations that it makes doubtful."""

import numpy as np

from mfdet.evaluation.matching import IOU


def worst_images(matches, threshold, most=30):
    """Return the images with most errors at a score threshold: false positives and objects not found, together.

    Args:
        matches: a :class:`mfdet.evaluation.matching.Matches`.
        threshold: least score that counts.
        most: how many images at most.

    Returns:
        List of (image, false positives, missed) by falling sum, of equal ones in the order of the images; those
        without errors are left out.
    """
    found, objects = matches.found, matches.objects
    kept = found.score >= threshold
    wrong = np.bincount(found.image[found.wrong & kept], minlength=len(matches.image_ids))
    lost = ~objects.crowd
    lost[found.finds[kept & found.right]] = False
    missed = np.bincount(objects.image[lost], minlength=len(matches.image_ids))
    order = np.argsort(-(wrong + missed), kind='stable')[:most]
    return [(int(i), int(wrong[i]), int(missed[i])) for i in order if wrong[i] + missed[i]]


def unlabelled(matches, threshold):
    """Return confident detections without a matching box, often labels that are missing.

    These reach the threshold and overlap no object of any class by an IoU of 0.5 or more, nor lie in a crowd region of
    their class. The most doubtful come first, by score × (1 - the largest IoU with an object).

    Args:
        matches: a :class:`mfdet.evaluation.matching.Matches`.
        threshold: least score that counts.

    Returns:
        int (N,): indices of the detections.
    """
    found = matches.found
    overlap = np.maximum(found.same_iou, found.other_iou)
    rows = np.flatnonzero(found.wrong & (found.score >= threshold) & (overlap < IOU))
    return rows[np.argsort(-found.score[rows] * (1 - overlap[rows]), kind='stable')]


def undetected(matches):
    """Return objects that no detection of whatever class and score overlaps by an IoU of 0.5 or more.

    Those that detections come least near to come first, of equal ones the largest.

    Returns:
        int (N,): indices of the objects.
    """
    objects = matches.objects
    rows = np.flatnonzero(~objects.crowd & (objects.nearest < IOU))
    return rows[np.lexsort((-objects.area[rows], objects.nearest[rows]))]
