from scenes import box, matches_of

from mfdet.evaluation.suspects import undetected, unlabelled, worst_images

OBJECTS = [(1, 'cat', box(0)), (1, 'dog', box(150)), (2, 'cat', box(0)), (2, 'cat', box(300, 20))]


def test_worst_images_count_false_positives_and_missed_at_the_threshold(tmp_path):
    detections = [
        (1, 'cat', box(0), 0.9),
        (1, 'dog', box(150), 0.2),
        (2, 'cat', box(100), 0.8),
        (1, 'dog', box(0), 0.1),
    ]
    matches = matches_of(tmp_path, OBJECTS, detections)
    assert worst_images(matches, 0.3) == [(1, 1, 2), (0, 0, 1)]
    assert worst_images(matches, 0.3, most=1) == [(1, 1, 2)]
    assert worst_images(matches, 0.15) == [(1, 1, 2)]


def test_confident_detections_without_a_matching_box(tmp_path):
    detections = [
        (1, 'cat', box(50), 0.9),  # IoU 1/3 with the cat
        (2, 'dog', box(120), 0.7),
        (2, 'dog', box(140), 0.2),  # below the threshold
        (2, 'dog', box(0), 0.8),  # on the cat
        (1, 'cat', box(0), 0.6),
    ]
    matches = matches_of(tmp_path, OBJECTS, detections)
    rows = unlabelled(matches, 0.3)
    assert matches.found.score[rows].tolist() == [0.7, 0.9]  # 0.7 × 1 before 0.9 × 2/3
    crowd = [(1, 'cat', box(0, 300), dict(iscrowd=1))]
    assert len(unlabelled(matches_of(tmp_path, crowd, [(1, 'cat', box(50), 0.9)]), 0.3)) == 0


def test_objects_that_nothing_detects(tmp_path):
    detections = [(1, 'dog', box(10), 0.001), (2, 'dog', box(50), 0.9)]
    objects = [*OBJECTS, (2, 'dog', box(300, 20), dict(iscrowd=1))]
    assert undetected(matches_of(tmp_path, objects, detections)).tolist() == [1, 3, 2]
