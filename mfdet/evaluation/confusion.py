"""Which classes a detector takes for one another, at one score threshold."""

import numpy as np


def confusion(matches, threshold):
    """Return how often an object of a class is detected as each class.

    Detections of this score or more find objects of their own class as in the evaluation (IoU 0.5, by falling score).
    What is left of both is paired whatever the class, by falling IoU down to 0.5; what is then left is background.

    Args:
        matches: a :class:`mfdet.evaluation.matching.Matches`.
        threshold: least score that counts.

    Returns:
        int (classes + 1, classes + 1): rows are true classes, columns detected ones, the last of both is background:
        the last column counts objects that are not detected, the last row detections where there is no object.
    """
    found, objects = matches.found, matches.objects
    background = len(matches.classes)
    kept = found.score >= threshold
    detected = np.full(len(objects.label), background)  # as which class each object is
    right = kept & found.right
    detected[found.finds[right]] = found.label[right]
    left = kept & found.wrong
    rows, columns, ious = matches.pairs
    usable = left[rows] & (detected[columns] == background)
    for pair in np.flatnonzero(usable)[np.argsort(-ious[usable], kind='stable')]:
        row, column = rows[pair], columns[pair]
        if left[row] and detected[column] == background:
            detected[column] = found.label[row]
            left[row] = False
    regular = ~objects.crowd
    table = np.zeros((background + 1, background + 1), np.int64)
    np.add.at(table, (objects.label[regular], detected[regular]), 1)
    np.add.at(table[background], found.label[left], 1)
    return table


def most_confused(table, least=1):
    """Return (true class, detected class, count) of different classes, by falling count, down to ``least``."""
    between = table[:-1, :-1].copy()
    np.fill_diagonal(between, 0)
    rows, columns = np.nonzero(between >= max(1, least))
    order = np.argsort(-between[rows, columns], kind='stable')
    return [(int(rows[i]), int(columns[i]), int(between[rows[i], columns[i]])) for i in order]
