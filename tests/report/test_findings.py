import pytest
from scenes import box, read

from mfdet.errors import InputError
from mfdet.report.findings import analyse

OBJECTS = [(1, 'cat', box(0)), (2, 'cat', box(0)), (1, 'dog', box(200))]
DETECTIONS = [(1, 'cat', box(0), 0.9), (2, 'cat', box(0), 0.5), (1, 'cat', box(300), 0.2), (1, 'dog', box(0), 0.8)]


def test_all_that_counts_at_a_threshold_does_so_at_that_of_best_f1_or_at_the_one_given(tmp_path):
    data = read(tmp_path, OBJECTS, DETECTIONS)
    findings = analyse(*data)
    assert findings.at == findings.best
    assert findings.at.threshold == 0.5
    assert findings.confusion.tolist() == [[2, 0, 0], [0, 0, 1], [0, 1, 0]]
    findings = analyse(*data, score_thr=0.85)
    assert (findings.best.threshold, findings.at.threshold, findings.at.recall) == (0.5, 0.85, pytest.approx(1 / 3))
    assert findings.confusion.tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert findings.by_count.kept.sum() < findings.by_count.recall.sum()
    assert findings.usual.threshold == 0.3


def test_a_class_without_a_right_detection_has_the_threshold_of_all(tmp_path):
    findings = analyse(*read(tmp_path, OBJECTS, DETECTIONS))
    assert findings.best_of[1] is None
    assert findings.thresholds() == dict(overall=0.5, classes=dict(cat=0.5, dog=0.5))
    none = analyse(*read(tmp_path, OBJECTS, DETECTIONS[2:]))
    assert none.thresholds() is None
    assert none.at.threshold == 0.3


@pytest.mark.parametrize('evaluator', ['pycocotools', None])
def test_classes_can_be_chosen(evaluator, tmp_path):
    findings = analyse(*read(tmp_path, OBJECTS, DETECTIONS), evaluator=evaluator, category_ids=[1])
    assert [row['name'] for row in findings.table] == findings.matches.classes == ['cat']
    assert findings.result.stats['AP50'] == pytest.approx(1)
    assert findings.objects == 2


def test_there_must_be_images_and_classes(tmp_path, monkeypatch):
    monkeypatch.setattr('scenes.IMAGES', ())
    with pytest.raises(InputError, match="list 'images' is empty"):
        analyse(*read(tmp_path, [], []))
    monkeypatch.undo()
    with pytest.raises(InputError, match="list 'categories' is empty"):
        analyse(*read(tmp_path, [], [], classes=()))
