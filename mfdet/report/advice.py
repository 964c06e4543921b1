"""What to do about a detector, by plain rules, each with the figure that calls for it."""

from dataclasses import dataclass

import numpy as np

from mfdet.evaluation.confusion import most_confused
from mfdet.evaluation.errors import KINDS
from mfdet.values import listed

COSTLY = 0.02  # of AP50, from which on a kind of error is spoken of
GAP = 0.15  # of recall, between a group of objects and all
FEW = 30  # objects, below which a class's figures are a matter of chance
SHARE = 0.05  # of a class's objects, from which on a confusion is spoken of
DOUBTFUL = 0.01  # of all objects, from which on doubtful annotations are spoken of
MISCALIBRATED = 0.1

LARGER = 'train and test on larger images (--image-size of mfdet train)'
NMS = 'the IoU threshold of NMS (model.test_cfg.nms.iou_threshold)'
ACTIONS = {
    'classification': 'look at the confused classes below: are they annotated alike everywhere? Add images of them',
    'localisation': f'train longer, or {LARGER}; look whether the annotated boxes are tight',
    'both': 'train longer; there is little else to do about these alone',
    'duplicate': f'lower {NMS}; train a detector without NMS longer',
    'background': 'look at the doubtful annotations below, these may be labels that are missing; else add images of '
    'what is mistaken for an object',
    'missed': f'train longer or with more images like those below; if the missed objects are small, {LARGER}',
}


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        weight: the AP50 or the share of objects at stake, by which the list is ordered.
        finding: a sentence with the figure.
        action: what to do about it.
    """

    weight: float
    finding: str
    action: str

    def __str__(self):
        return f'{self.finding}: {self.action}.'


def advise(findings):
    """Return the list of :class:`Advice` for :class:`mfdet.report.findings.Findings`, the weightiest first."""
    if not findings.objects:
        return [Advice(1, 'The annotations hold no object', 'give annotations of objects, nothing can be measured')]
    if not len(findings.matches.found.score):
        return [Advice(1, 'There is no detection', 'look whether the training went well and the results are the right')]
    rules = (_errors, _groups, _confusions, _classes, _annotations, _scores)
    return sorted((advice for rule in rules for advice in rule(findings)), key=lambda advice: -advice.weight)


def _percent(share):
    return f'{100 * share:.0f} %'


def _errors(findings):
    confident = findings.matches.found.score >= findings.at.threshold
    for kind in KINDS:
        cost = findings.errors.cost(kind)
        if cost >= COSTLY:
            count = findings.errors.count(kind, confident)
            where = '' if kind == 'missed' else f' with a score from {findings.at.threshold:.2f} up'
            what = 'missed objects' if kind == 'missed' else f'errors of the kind "{kind}"'
            yield Advice(cost, f'{what[0].upper()}{what[1:]} cost {cost:.3f} of AP50 ({count}{where})', ACTIONS[kind])


def _groups(findings):
    """Small objects and crowded ones, where fewer are found than elsewhere."""
    recall, threshold = findings.at.recall, findings.at.threshold
    area, overlap = findings.by_area, findings.by_overlap
    if len(area.objects) > 1 and area.kept[0] < recall - GAP:
        share = area.objects[0] / findings.objects
        side = np.sqrt(area.edges[1])
        yield Advice(
            share * (recall - area.kept[0]),
            f'Of the smallest {_percent(share)} of the objects, below {side:.0f}×{side:.0f} pixels, '
            f'{_percent(area.kept[0])} are found at a score of {threshold:.2f}, of all {_percent(recall)}',
            f'{LARGER}, or cut the images into tiles',
        )
    crowded = overlap.edges[:-1] >= 0.3
    number = int(overlap.objects[crowded].sum())
    if number:
        kept = float(np.nansum(overlap.kept[crowded] * overlap.objects[crowded]) / number)
        if kept < recall - GAP:
            yield Advice(
                number / findings.objects * (recall - kept),
                f'Of {number} objects that overlap another by an IoU of 0.3 or more, {_percent(kept)} are found at a '
                f'score of {threshold:.2f}, of all {_percent(recall)}',
                f'raise {NMS}, or take a detector without NMS',
            )


def _confusions(findings):
    classes, totals = findings.matches.classes, findings.matches.totals
    pairs = [
        (true, seen, count)
        for true, seen, count in most_confused(findings.confusion, least=3)
        if count >= SHARE * totals[true]
    ]
    if pairs:
        told = [
            f'{classes[true]} taken for {classes[seen]} {count} times ({_percent(count / totals[true])})'
            for true, seen, count in pairs
        ]
        yield Advice(
            sum(count for *_, count in pairs) / findings.objects,
            f'Classes are confused: {listed(told, 3)}',
            'are they annotated alike everywhere? Add images that tell them apart, or make them one class',
        )


def _classes(findings):
    classes, totals = findings.matches.classes, findings.matches.totals
    few = sorted((total, name) for name, total in zip(classes, totals, strict=True) if 0 < total < FEW)
    if few:
        yield Advice(
            len(few) / len(classes) * COSTLY,
            f'Fewer than {FEW} objects to measure with: {listed([f"{name} ({total})" for total, name in few], 5)}',
            'their figures are a matter of chance; annotate more images of them, for training too',
        )
    none = [name for name, total in zip(classes, totals, strict=True) if not total]
    if none:
        yield Advice(0, f'No object of {listed(none, 5)}', 'nothing can be said of these classes')


def _annotations(findings):
    errors, found = findings.errors, findings.matches.found
    lonely = int((errors.kind[findings.unlabelled] == KINDS.index('background')).sum())
    if lonely >= DOUBTFUL * findings.objects:
        highest = found.score[findings.unlabelled].max()
        yield Advice(
            lonely / findings.objects,
            f'{lonely} detections with a score from {findings.at.threshold:.2f} up (the highest {highest:.2f}) lie on '
            f'no object ({findings.objects} objects are annotated)',
            'labels may be missing; look at the doubtful annotations below, and correct them before anything else',
        )
    lost = len(findings.undetected)
    if lost >= DOUBTFUL * findings.objects:
        yield Advice(
            lost / findings.objects,
            f'{lost} of {findings.objects} objects are overlapped by no detection of any class and score (IoU 0.5)',
            'look at them below, are the boxes right? If so, they are too small or too rare in training',
        )


def _scores(findings):
    best, usual, calibration = findings.best, findings.usual, findings.calibration
    if best and best.f1 - usual.f1 >= COSTLY:
        yield Advice(
            best.f1 - usual.f1,
            f'At the usual score threshold of {usual.threshold} F1 is {usual.f1:.3f} (precision {usual.precision:.2f}, '
            f'recall {usual.recall:.2f}), at {best.threshold:.2f} it is {best.f1:.3f} (precision {best.precision:.2f}, '
            f'recall {best.recall:.2f})',
            'predict with --thresholds thresholds.json',
        )
    if calibration and calibration.error >= MISCALIBRATED:
        counted = calibration.detections > 0
        excess = np.average(
            (calibration.score - calibration.precision)[counted], weights=calibration.detections[counted]
        )
        yield Advice(
            0,
            f'Scores are {"higher" if excess > 0 else "lower"} than the share of detections that are right, by '
            f'{calibration.error:.2f} in the mean',
            'do not read them as probabilities',
        )
