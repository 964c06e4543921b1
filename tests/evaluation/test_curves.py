import numpy as np
import pytest
from scenes import box, matches_of, read

from mfdet.evaluation import coco, curves
from mfdet.evaluation.matching import match

OBJECTS = [(1, 'cat', box(0)), (1, 'cat', box(200, 20)), (2, 'cat', box(0)), (2, 'dog', box(150))]
DETECTIONS = [
    (1, 'cat', box(0), 0.9),
    (2, 'cat', box(0), 0.6),
    (1, 'cat', box(300), 0.6),
    (2, 'dog', box(150), 0.3),
    (2, 'dog', box(0), 0.2),
]


@pytest.fixture
def matches(tmp_path):
    return matches_of(tmp_path, OBJECTS, DETECTIONS)


def test_best_f1_takes_equal_scores_together():
    score, right = np.array([0.5, 0.9, 0.5, 0.1]), np.array([True, True, False, False])
    assert curves.best_f1(score, right, 2) == curves.Point(0.5, 2 / 3, 1, pytest.approx(0.8))
    assert curves.best_f1(score, right, 20).threshold == 0.5
    assert curves.best_f1(score, ~right & False, 2) is None
    assert curves.point_at(score, right, 2, 0.95) == curves.Point(0.95, 0, 0, 0)
    assert curves.best_f1(np.array([0.9, 0.8]), np.array([True, False]), 1).threshold == 0.9


def test_best_f1_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(0)
    score, right = rng.random(200).round(2), rng.random(200) < 0.4
    best = curves.best_f1(score, right, 120)
    assert best.f1 == pytest.approx(max(curves.point_at(score, right, 120, t).f1 for t in np.linspace(0, 1, 101)))
    assert best == curves.point_at(score, right, 120, best.threshold)


def test_thresholds_of_all_and_of_each_class(matches):
    overall, (cat, dog) = curves.best_thresholds(matches)
    assert overall == curves.Point(0.3, 3 / 4, 3 / 4, 3 / 4)
    assert cat == curves.Point(0.6, 2 / 3, 2 / 3, pytest.approx(2 / 3))
    assert dog == curves.Point(0.3, 1, 1, 1)


def test_precision_curves_and_table_are_of_pycocotools(tmp_path):
    ground_truth, results = read(tmp_path, OBJECTS, DETECTIONS)
    result = coco.evaluate(ground_truth, results)
    lines = curves.precision_curves(result)
    assert [line.mean() for line in lines.values()] == pytest.approx([result.stats[n] for n in ('AP50', 'AP75', 'AP')])
    assert curves.precision_curves(result, 1)['IoU 0.50'].mean() == pytest.approx(result.per_class[1]['AP50'])
    cat, dog = curves.class_table(result, match(ground_truth, results).totals)
    assert (cat['name'], cat['objects'], dog['objects']) == ('cat', 3, 1)
    assert [cat[n] for n in ('AP', 'AP50', 'AP75')] == [result.per_class[0][n] for n in ('AP', 'AP50', 'AP75')]
    assert [cat['APs'], cat['APm'], dog['APl'], dog['APs']] == pytest.approx([0, -1, 1, -1])
    assert (cat['APl'] + dog['APl']) / 2 == pytest.approx(result.stats['APl'])


def test_curves_without_objects(tmp_path):
    result = coco.evaluate(*read(tmp_path, [], DETECTIONS))
    assert curves.precision_curves(result) is None
    assert curves.precision_curves(result, 0) is None


def test_calibration(matches, tmp_path):
    found = curves.calibration(matches)
    assert found.detections.tolist() == [0, 0, 1, 1, 0, 0, 2, 0, 0, 1]
    assert found.precision[[2, 3, 6, 9]].tolist() == [0, 1, 0.5, 1]
    assert found.score[[2, 3, 6, 9]] == pytest.approx([0.2, 0.3, 0.6, 0.9])
    assert found.error == pytest.approx((0.2 + 0.7 + 2 * 0.1 + 0.1) / 5)
    assert curves.calibration(matches_of(tmp_path, OBJECTS, [])) is None
    assert curves.calibration(matches_of(tmp_path, OBJECTS, [(1, 'cat', box(0), 7.5)])) is None
    assert curves.calibration(matches_of(tmp_path, OBJECTS, [(1, 'cat', box(0), 1)])).error == 0


def test_recall_by_size(matches):
    bins = curves.recall_by(matches, matches.objects.area, 0.5, bins=2)
    assert bins.edges.tolist() == [400, 10000, 10000]  # three of four objects are equal
    assert bins.objects.tolist() == [1, 3]
    bins = curves.recall_by(matches, matches.objects.area, 0.5, edges=[0, 1000, 10000])
    assert bins.objects.tolist() == [1, 3]
    assert bins.recall.tolist() == [0, 1]
    assert bins.kept.tolist() == [0, pytest.approx(2 / 3)]


def test_recall_by_crowding(matches, tmp_path):
    assert curves.crowding(matches).tolist() == [2, 2, 2, 2]
    bins = curves.recall_by(matches, curves.crowding(matches), 0)
    assert (bins.edges.tolist(), bins.objects.tolist(), bins.recall.tolist()) == ([2, 2], [4], [0.75])
    assert curves.recall_by(matches_of(tmp_path, [], DETECTIONS), [], 0) is None
