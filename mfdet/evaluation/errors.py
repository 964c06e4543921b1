"""What kinds of errors a detector makes, and what each costs: TIDE.

Bolya, Foley, Hays and Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
https://arxiv.org/abs/2008.08115, sections 2.2 and 2.3. Where the paper leaves a choice, it is made as in its authors'
program, whose figures these are; only a classification error, too, keeps its object from being missed, as in the paper.
"""

from dataclasses import dataclass

import numpy as np

from mfdet.evaluation.matching import IOU

BACKGROUND_IOU = 0.1
KINDS = ('classification', 'localisation', 'both', 'duplicate', 'background', 'missed')
MEANINGS = {  # what each kind is
    'classification': 'lies on an object, with the wrong class',
    'localisation': 'has the right class, but overlaps the object too little (IoU 0.1 to 0.5)',
    'both': 'has the wrong class and overlaps the object too little',
    'duplicate': 'finds an object that a detection of higher score has found',
    'background': 'lies on no object (IoU up to 0.1)',
    'missed': 'an object that is not found, nor would be by mending a classification or localisation error',
}
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Errors:
    """The errors of all detections and what they cost.

    Attributes:
        kind: int (detections,), index into :data:`KINDS`; -1 for one that is right or ignored.
        target: int (detections,), the object that a classification or localisation error belongs to, else -1.
        missed: bool (objects,).
        ap50: float (classes,), average precision at IoU 0.5; nan for a class without objects.
        fixed: dict from each kind to ``ap50`` with that kind alone mended.
    """

    kind: np.ndarray
    target: np.ndarray
    missed: np.ndarray
    ap50: np.ndarray
    fixed: dict

    def cost(self, kind):
        """Return dAP of a kind: the mean over classes of AP50 with it mended, less that without; 0 without objects."""
        gain = self.fixed[kind] - self.ap50
        return float(gain[~np.isnan(gain)].mean()) if (~np.isnan(gain)).any() else 0.0

    def count(self, kind, among=None):
        """Return how many errors there are of a kind; ``among`` (detections,) chooses some, but not of the missed."""
        if kind == 'missed':
            return int(self.missed.sum())
        chosen = self.kind == KINDS.index(kind)
        return int((chosen if among is None else chosen & among).sum())


def find_errors(matches):
    """Sort false positives and missed objects by kind.

    Where several kinds fit a false positive, the first of localisation, classification, duplicate, background and both
    counts.

    Args:
        matches: a :class:`mfdet.evaluation.matching.Matches`.

    Returns:
        Errors.
    """
    found, objects = matches.found, matches.objects
    fitting = [
        ('localisation', (found.same_iou >= BACKGROUND_IOU) & (found.same_iou < IOU)),
        ('classification', found.other_iou >= IOU),
        ('duplicate', found.same_iou >= IOU),
        ('background', np.maximum(found.same_iou, found.other_iou) <= BACKGROUND_IOU),
    ]
    kind = np.select([fits for _, fits in fitting], [KINDS.index(name) for name, _ in fitting], KINDS.index('both'))
    kind[~found.wrong] = -1
    target = np.select(
        [kind == KINDS.index('localisation'), kind == KINDS.index('classification')],
        [found.same_object, found.other_object],
        -1,
    )
    missed = (objects.found_by < 0) & ~objects.crowd
    missed[target[target >= 0]] = False
    return Errors(kind, target, missed, *_oracles(matches, kind, target, missed))


def average_precision(label, score, right, totals):
    """Return COCO's average precision of each class: float (classes,), nan for one without objects.

    Args:
        label, score, right: class, score and whether it is right, of each detection.
        totals: int (classes,), objects of each class.
    """
    result = np.full(len(totals), np.nan)
    for number, total in enumerate(totals):
        if total:
            rows = np.flatnonzero(label == number)
            rows = rows[np.argsort(-score[rows], kind='stable')]
            true = np.cumsum(right[rows])
            precision = true / np.arange(1, len(rows) + 1)
            highest = np.maximum.accumulate(precision[::-1])[::-1]  # from each recall on
            place = np.searchsorted(true / total, RECALLS)
            result[number] = np.append(highest, 0)[place].mean()
    return result


def _oracles(matches, kind, target, missed):
    """Return AP50 of each class, and a dict of the same with each kind mended, as the paper's section 2.3 has it."""
    found, objects, totals = matches.found, matches.objects, matches.totals

    def measure(right, kept, label=found.label, totals=totals):
        return average_precision(label[kept], found.score[kept], right[kept], totals)

    counted = ~found.ignored
    before = measure(found.right, counted)
    fixed = {}
    for number, name in enumerate(KINDS):
        mended = kind == number
        if name in ('classification', 'localisation'):
            # Each now finds its object, unless that is found already; of several, the one of highest score.
            rows = np.flatnonzero(mended)
            rows = rows[objects.found_by[target[rows]] < 0]
            rows = rows[np.argsort(-found.score[rows], kind='stable')]
            _, first = np.unique(target[rows], return_index=True)
            right, label = found.right.copy(), found.label.copy()
            right[rows[first]] = True
            label[rows] = objects.label[target[rows]]
            fixed[name] = measure(right, counted & (~mended | right), label)
        elif name == 'missed':
            left = totals - np.bincount(objects.label[missed], minlength=len(totals))
            fixed[name] = measure(found.right, counted, totals=left)
            # The paper takes missed objects out of the count. Where none is left, nothing is left to find.
            fixed[name][(totals > 0) & (left == 0)] = 1
        else:
            fixed[name] = measure(found.right, counted & ~mended)
    return before, fixed
