import json

import numpy as np
import pytest
from coco_tasks import random_task, reference
from scenes import box, matches_of, read

from mfdet.evaluation import coco
from mfdet.evaluation.matching import match


@pytest.mark.parametrize('seed', range(4))
def test_matches_are_those_of_pycocotools(seed, tmp_path):
    dataset, results = random_task(seed)
    twice = [item for item in dataset['annotations'] if not item['iscrowd']]  # of equal IoU
    dataset['annotations'] += [{**item, 'id': 1000 + item['id']} for item in twice]
    results += [{**results[0], 'bbox': [i, 0, 9, 9], 'score': 0.1 + i % 3} for i in range(110)]
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dataset))
    ground_truth = coco.load_ground_truth(path)
    for i, result in enumerate(results):
        result['bbox'] = [value + 1e-9 * i for value in result['bbox']]  # tells equal boxes apart
    matches = match(ground_truth, coco.load_results(results, ground_truth))
    found = matches.found
    annotations = ground_truth.dataset['annotations']
    labels = {category: label for label, category in enumerate(ground_truth.cats)}
    seen = 0
    for entry in filter(None, reference(dataset, results).evalImgs):
        if entry['aRng'] != [0, 1e10] or not entry['dtIds']:
            continue
        rows = found.image == matches.image_ids.index(entry['image_id'])
        rows = np.flatnonzero(rows & (found.label == labels[entry['category_id']]))
        assert found.score[rows].tolist() == entry['dtScores']
        theirs = [results[int(number) - 1]['bbox'] for number in entry['dtIds']]
        np.testing.assert_array_equal(found.box[rows], theirs)
        crowds = {annotation['id']: annotation['iscrowd'] for annotation in annotations}
        taken = [annotations[i]['id'] if i >= 0 else 0 for i in found.finds[rows]]
        assert taken == [0 if crowds.get(int(i)) else int(i) for i in entry['dtMatches'][0]]
        assert found.ignored[rows].tolist() == entry['dtIgnore'][0].tolist()
        seen += len(rows)
    assert seen == len(found.score) > 200
    assert found.ignored.any()
    assert len(found.score) < len(results)  # beyond 100 of a class in an image


def test_overlaps_with_own_and_other_classes(tmp_path):
    objects = [(1, 'cat', box(0)), (1, 'dog', box(50)), (2, 'cat', box(0))]
    detections = [(1, 'cat', box(25), 0.9), (1, 'cat', box(0), 0.8), (1, 'dog', box(300), 0.7), (2, 'dog', box(0), 0.6)]
    matches = matches_of(tmp_path, objects, detections)
    found = matches.found
    assert found.finds.tolist() == [0, -1, -1, -1]
    assert found.same_iou == pytest.approx([0.6, 1, 0, 0])
    assert found.other_iou == pytest.approx([0.6, 1 / 3, 0, 1])
    assert found.same_object.tolist() == [0, 0, -1, -1]
    assert found.other_object.tolist() == [1, 1, -1, 2]
    assert matches.objects.found_by.tolist() == [0, -1, -1]
    assert matches.objects.nearest == pytest.approx([1, 0.6, 1])
    assert matches.objects.neighbour == pytest.approx([1 / 3, 1 / 3, 0])
    assert matches.totals.tolist() == [2, 1]
    rows, columns, ious = matches.pairs
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (3, 2)]
    assert sorted(ious) == pytest.approx([0.6, 0.6, 1, 1])


def test_categories_can_be_chosen_and_ordered(tmp_path):
    objects, detections = [(1, 'cat', box(0)), (1, 'dog', box(50))], [(1, 'dog', box(50), 0.5), (1, 'cat', box(0), 0.4)]
    matches = match(*read(tmp_path, objects, detections), [2])
    assert matches.classes == ['dog']
    assert matches.totals.tolist() == [1]
    assert matches.found.finds.tolist() == [0]


@pytest.mark.parametrize(
    ('objects', 'detections'), [((), ()), ([(1, 'cat', box(0))], ()), ((), [(1, 'cat', box(0), 1)])]
)
def test_nothing_on_either_side(objects, detections, tmp_path):
    matches = matches_of(tmp_path, objects, detections)
    assert matches.found.finds.tolist() == [-1] * len(detections)
    assert matches.objects.found_by.tolist() == [-1] * len(objects)
    assert all(len(column) == 0 for column in matches.pairs)
