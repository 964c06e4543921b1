import numpy as np
import pytest
from scenes import box, read

from mfdet.report.advice import advise
from mfdet.report.findings import analyse


def advice(tmp_path, objects, detections, **options):
    return {str(item): item for item in advise(analyse(*read(tmp_path, objects, detections), **options))}


def said(found, *parts):
    return any(all(part in text for part in parts) for text in found)


MANY = range(1, 41)  # images with a cat each
CATS = [(i, 'cat', box(0)) for i in MANY]


@pytest.fixture(autouse=True)
def images(monkeypatch):
    monkeypatch.setattr('scenes.IMAGES', MANY)


def right(images, name='cat', score=0.91):
    return [(i, name, box(0), score) for i in images]


def test_a_good_detector_gets_no_advice_on_its_errors(tmp_path):
    found = advice(tmp_path, CATS, right(MANY, score=0.95))
    assert list(found) == ['No object of dog: nothing can be said of these classes.']


def test_without_objects_or_detections(tmp_path):
    assert list(advice(tmp_path, [], right([1]))) == [
        'The annotations hold no object: give annotations of objects, nothing can be measured.'
    ]
    assert said(advice(tmp_path, CATS, []), 'There is no detection')


@pytest.mark.parametrize(
    ('wrong', 'kind', 'action'),
    [
        ([(i, 'cat', box(50), 0.95) for i in range(1, 11)], 'localisation" cost', 'larger images'),
        ([(i, 'cat', box(2), 0.91) for i in range(1, 11)], 'duplicate" cost', 'NMS'),
        ([(i, 'cat', box(250), 0.95) for i in range(1, 11)], 'background" cost 0.', 'labels that are missing'),
    ],
)
def test_kinds_of_errors(wrong, kind, action, tmp_path):
    found = advice(tmp_path, CATS, right(range(1, 39)) + wrong + right([39, 40], score=0.5))
    assert said(found, kind, '(10 with a score from', action)


def test_missed_objects_and_those_that_nothing_detects(tmp_path):
    found = advice(tmp_path, CATS, right(range(1, 31)))
    assert said(found, 'Missed objects cost 0.24', '(10)')
    assert said(found, '10 of 40 objects are overlapped by no detection')


def test_small_objects(tmp_path):
    small = [(i, 'cat', [200, 100, 10, 10]) for i in range(1, 7)]
    found = advice(tmp_path, CATS + small, right(MANY))
    assert said(found, 'Of the smallest 13 % of the objects, below 100×100 pixels, 0 % are found', 'larger images')


def test_crowded_objects(tmp_path):
    beside = [(i, 'cat', box(45)) for i in range(1, 11)]
    found = advice(tmp_path, CATS + beside, right(MANY))
    assert said(found, 'Of 20 objects that overlap another by an IoU of 0.3 or more, 50 % are found', 'raise the IoU')


def test_confused_and_rare_classes(tmp_path):
    dogs = [(i, 'dog', box(200)) for i in range(1, 6)]
    found = advice(tmp_path, CATS + dogs, right(MANY) + [(i, 'cat', box(200), 0.91) for i in range(1, 6)])
    assert said(found, 'Classes are confused: dog taken for cat 5 times (100 %)')
    assert said(found, 'Fewer than 30 objects to measure with: dog (5)')


def test_labels_that_may_be_missing(tmp_path):
    extra = [(i, 'cat', box(250), 0.85) for i in range(1, 4)]
    found = advice(tmp_path, CATS, right(MANY) + extra, score_thr=0.5)
    assert said(
        found, '3 detections with a score from 0.50 up (the highest 0.85) lie on no object (40 objects are annotated)'
    )
    assert not said(advice(tmp_path, CATS, right(MANY) + extra), 'lie on no object')  # these are below best F1


def test_thresholds_and_calibration(tmp_path):
    low = [(i, 'cat', box(250), 0.4) for i in MANY]
    found = advice(tmp_path, CATS, right(MANY) + low)
    assert said(found, 'At the usual score threshold of 0.3 F1 is 0.667', 'at 0.91 it is 1.000', '--thresholds')
    assert said(found, 'Scores are higher than the share of detections that are right, by 0.25')
    assert not said(advice(tmp_path, CATS, right(MANY)), 'threshold')


def test_the_weightiest_comes_first(tmp_path):
    wrong = [(i, 'cat', box(250), 0.95) for i in range(1, 11)]
    weights = [item.weight for item in advice(tmp_path, CATS, right(range(1, 31)) + wrong).values()]
    assert len(weights) > 2
    assert weights == sorted(weights, reverse=True)
    assert np.isfinite(weights).all()
