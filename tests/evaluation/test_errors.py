import json

import numpy as np
import pytest
from coco_tasks import random_task
from scenes import box, matches_of

from mfdet.evaluation import coco
from mfdet.evaluation.errors import KINDS, find_errors
from mfdet.evaluation.matching import match

CAT = (1, 'cat', box(0))
HALF = 51 / 101  # AP with one of two objects found, without a false positive before it


def costs(errors):
    return {kind: errors.cost(kind) for kind in KINDS if errors.cost(kind)}


def test_all_right_costs_nothing(tmp_path):
    errors = find_errors(matches_of(tmp_path, [CAT], [(1, 'cat', box(10), 0.9)]))
    assert errors.kind.tolist() == [-1]
    assert costs(errors) == {}
    assert [errors.count(kind) for kind in KINDS] == [0] * 6


# Each: objects, detections, the kind of the last detection (or 'missed'), AP50 before, dAP of that kind alone.
CASES = {
    'classification': ([CAT, (2, 'dog', box(0))], [(2, 'dog', box(0), 0.9), (1, 'dog', box(0), 0.8)], 0.5, 0.5),
    'localisation': ([CAT], [(1, 'cat', box(50), 0.9)], 0, 1),
    'both': ([CAT, (2, 'dog', box(0))], [(2, 'dog', box(0), 0.1), (1, 'dog', box(50), 0.9)], 0.25, 0.25),
    'duplicate': (
        [CAT, (2, 'cat', box(0))],
        [(1, 'cat', box(0), 0.9), (2, 'cat', box(0), 0.5), (1, 'cat', box(1), 0.8)],
        (51 + 50 * 2 / 3) / 101,
        1 - (51 + 50 * 2 / 3) / 101,
    ),
    'background': ([CAT], [(1, 'cat', box(0), 0.1), (1, 'cat', box(300), 0.9)], 0.5, 0.5),
    'missed': ([CAT, (2, 'cat', box(0))], [(1, 'cat', box(0), 0.9)], HALF, 1 - HALF),
}


@pytest.mark.parametrize('kind', KINDS)
def test_each_kind_and_its_cost(kind, tmp_path):
    objects, detections, before, cost = CASES[kind]
    matches = matches_of(tmp_path, objects, detections)
    errors = find_errors(matches)
    wrong = np.flatnonzero(errors.kind >= 0)
    if kind == 'missed':
        assert errors.missed.tolist() == [False, True]
        assert len(wrong) == 0
    else:
        assert errors.kind[wrong].tolist() == [KINDS.index(kind)]
        row = len(detections) - 1
        assert matches.found.score[wrong].tolist() == [detections[row][3]]
        assert errors.count(kind) == 1
        assert errors.count(kind, matches.found.score > 0.95) == 0
    assert np.nanmean(errors.ap50) == pytest.approx(before)
    assert errors.cost(kind) == pytest.approx(cost)


def test_an_error_that_would_find_an_object_leaves_it_not_missed(tmp_path):
    for detection in ((1, 'dog', box(0), 0.9), (1, 'cat', box(50), 0.9)):
        assert not find_errors(matches_of(tmp_path, [CAT], [detection])).missed.any()
    for detection in ((1, 'dog', box(50), 0.9), (1, 'cat', box(300), 0.9)):
        assert find_errors(matches_of(tmp_path, [CAT], [detection])).missed.all()


def test_all_objects_of_a_class_missed_cost_all_of_its_precision(tmp_path):
    errors = find_errors(matches_of(tmp_path, [CAT, (1, 'dog', box(200))], []))
    assert costs(errors) == {'missed': 1}
    assert errors.count('missed') == 2


def test_of_mended_detections_of_one_object_the_highest_score_stays(tmp_path):
    detections = [(1, 'cat', box(50), 0.9), (1, 'cat', box(55), 0.8), (2, 'cat', box(0), 0.7)]
    errors = find_errors(matches_of(tmp_path, [CAT, (2, 'cat', box(0))], detections))
    assert errors.kind.tolist() == [1, 1, -1]
    assert errors.ap50[0] == pytest.approx(51 / 101 / 3)
    assert errors.fixed['localisation'][0] == pytest.approx(1)
    detections = [(1, 'dog', box(0), 0.9), (1, 'dog', box(5), 0.8), (2, 'cat', box(0), 0.7)]
    errors = find_errors(matches_of(tmp_path, [CAT, (2, 'cat', box(0))], detections))
    assert errors.ap50[0] == pytest.approx(51 / 101)
    assert errors.fixed['classification'][0] == pytest.approx(1)


def test_a_mended_detection_of_an_object_that_is_found_is_left_out(tmp_path):
    errors = find_errors(matches_of(tmp_path, [CAT], [(1, 'cat', box(50), 0.9), (1, 'cat', box(0), 0.1)]))
    assert errors.ap50[0] == 0.5
    assert errors.fixed['localisation'][0] == 1
    detections = [(1, 'cat', box(0), 0.9), (1, 'cat', box(50), 0.8)]  # and nothing on the second cat
    errors = find_errors(matches_of(tmp_path, [CAT, (2, 'cat', box(0))], detections))
    assert errors.fixed['localisation'][0] == pytest.approx(HALF)


def test_localisation_comes_before_classification(tmp_path):
    errors = find_errors(matches_of(tmp_path, [CAT, (1, 'dog', box(50))], [(1, 'cat', box(50), 0.9)]))
    assert [KINDS[kind] for kind in errors.kind] == ['localisation']
    assert errors.target.tolist() == [0]


def test_a_detection_in_a_crowd_is_no_error(tmp_path):
    crowd = (1, 'cat', box(100, 200), dict(iscrowd=1))
    errors = find_errors(matches_of(tmp_path, [CAT, crowd], [(1, 'cat', box(150), 0.9), (1, 'cat', box(0), 0.8)]))
    assert errors.kind.tolist() == [-1, -1]
    assert errors.missed.tolist() == [False, False]
    assert errors.ap50[0] == 1


@pytest.mark.parametrize('seed', range(3))
def test_precision_before_is_that_of_pycocotools(seed, tmp_path):
    dataset, results = random_task(seed)
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dataset))
    ground_truth = coco.load_ground_truth(path)
    expected = [row['AP50'] for row in coco.evaluate(ground_truth, results).per_class]
    errors = find_errors(match(ground_truth, results))
    np.testing.assert_allclose(np.nan_to_num(errors.ap50, nan=-1), expected, atol=1e-12)
    for kind in KINDS:
        assert (np.nan_to_num(errors.fixed[kind] - errors.ap50) >= -1e-12).all()
