"""All figures of a report, computed once."""

import importlib.util
from dataclasses import dataclass

import numpy as np

from mfdet.errors import InputError
from mfdet.evaluation import coco, curves
from mfdet.evaluation.confusion import confusion
from mfdet.evaluation.errors import Errors, find_errors
from mfdet.evaluation.matching import Matches, match
from mfdet.evaluation.suspects import undetected, unlabelled

USUAL = 0.3  # the threshold of mfdet predict, unless it is told another
OVERLAPS = (0, 0.1, 0.3, 0.5, 1)


@dataclass(frozen=True)
class Findings:
    """What :func:`analyse` found; see the functions of :mod:`mfdet.evaluation` that the attributes come from.

    Attributes:
        result: twelve numbers, per class, precision over recall.
        matches: which detection finds which object.
        table: a row of figures for each class.
        best: threshold of best F1 over all classes, with what it gives; None if no detection is right.
        best_of: the same for each class.
        at: what the threshold of the report gives, of which all that counts at a threshold is.
        usual: what the usual threshold gives.
        errors: TIDE's.
        confusion: at the threshold, true classes in rows.
        calibration: None without detections, or where scores are not from 0 to 1.
        by_area, by_count, by_overlap: recall over area in pixels, number of objects in the image, and largest IoU with
            another object; None without objects.
        unlabelled, undetected: doubtful detections and objects, the most doubtful first.
    """

    result: coco.CocoResult
    matches: Matches
    table: list
    best: curves.Point | None
    best_of: list
    at: curves.Point
    usual: curves.Point
    errors: Errors
    confusion: np.ndarray
    calibration: curves.Calibration | None
    by_area: curves.Bins | None
    by_count: curves.Bins | None
    by_overlap: curves.Bins | None
    unlabelled: np.ndarray
    undetected: np.ndarray

    @property
    def objects(self):
        """Number of objects to be found."""
        return int(self.matches.totals.sum())

    def thresholds(self):
        """Return what ``mfdet predict --thresholds`` reads, None if no detection is right.

        A class none of whose detections is right has the threshold of all.
        """
        if self.best is None:
            return None
        points = zip(self.matches.classes, self.best_of, strict=True)
        classes = {name: (point or self.best).threshold for name, point in points}
        return dict(overall=self.best.threshold, classes=classes)


def analyse(ground_truth, results, score_thr=None, evaluator=None, category_ids=None):
    """Compute everything that a report shows.

    Args:
        ground_truth: what :func:`mfdet.evaluation.coco.load_ground_truth` returned.
        results: what :func:`mfdet.evaluation.coco.load_results` returned.
        score_thr: the threshold of all that counts at one; by default that of best F1.
        evaluator: see :func:`mfdet.evaluation.coco.evaluate`; by default faster-coco-eval if it is installed.
        category_ids: the categories that count, by default all.

    Returns:
        Findings.

    Raises:
        InputError: the ground truth has no image or no category, or see ``get_evaluator``.
    """
    for section, entries in (('images', ground_truth.imgs), ('categories', ground_truth.cats)):
        if not entries:
            raise InputError(f"the ground truth's list '{section}' is empty, so there is nothing to report on")
    if evaluator is None:
        evaluator = 'faster' if importlib.util.find_spec('faster_coco_eval') else 'pycocotools'
    result = coco.evaluate(ground_truth, results, evaluator, category_ids)
    matches = match(ground_truth, results, category_ids)
    found, objects = matches.found, matches.objects
    best, best_of = curves.best_thresholds(matches)
    threshold = score_thr if score_thr is not None else best.threshold if best else USUAL
    counted = ~found.ignored

    def point(score):
        return curves.point_at(found.score[counted], found.right[counted], int(matches.totals.sum()), score)

    return Findings(
        result,
        matches,
        curves.class_table(result, matches.totals),
        best,
        best_of,
        point(threshold),
        point(USUAL),
        find_errors(matches),
        confusion(matches, threshold),
        curves.calibration(matches),
        curves.recall_by(matches, objects.area, threshold),
        curves.recall_by(matches, curves.crowding(matches), threshold),
        curves.recall_by(matches, objects.neighbour, threshold, edges=OVERLAPS),
        unlabelled(matches, threshold),
        undetected(matches),
    )
