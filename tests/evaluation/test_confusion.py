from scenes import box, matches_of, read

from mfdet.evaluation.confusion import confusion, most_confused
from mfdet.evaluation.matching import match

OBJECTS = [(1, 'cat', box(0)), (1, 'dog', box(150)), (2, 'cat', box(0)), (2, 'cat', box(200))]


def test_rows_are_true_classes_and_the_last_is_background(tmp_path):
    detections = [
        (1, 'cat', box(0), 0.9),  # right
        (1, 'dog', box(5), 0.8),  # on the cat too, which is taken
        (1, 'cat', box(150), 0.7),  # a dog taken for a cat
        (2, 'dog', box(0), 0.6),  # a cat taken for a dog
        (2, 'dog', box(100), 0.5),  # nothing there
        (2, 'cat', box(200), 0.1),  # below the threshold
    ]
    matches = matches_of(tmp_path, OBJECTS, detections)
    table = confusion(matches, 0.3)
    assert table.tolist() == [[1, 1, 1], [1, 0, 0], [0, 2, 0]]
    assert most_confused(table) == [(0, 1, 1), (1, 0, 1)]
    assert most_confused(table, least=2) == []
    assert confusion(matches, 0)[0].tolist() == [2, 1, 0]


def test_an_object_goes_to_its_own_class_and_then_to_the_largest_iou(tmp_path):
    own = [(1, 'dog', box(0), 0.9), (1, 'cat', box(20), 0.5)]  # the wrong class fits better, but the right one counts
    assert confusion(matches_of(tmp_path, OBJECTS[:1], own), 0).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    crowd = [(1, 'cat', box(0), dict(iscrowd=1))]
    assert confusion(matches_of(tmp_path, crowd, [(1, 'cat', box(0), 0.9)]), 0).sum() == 0
    two = [(1, 'cat', box(0)), (1, 'cat', box(40))]
    assert confusion(matches_of(tmp_path, two, [(1, 'dog', box(10), 0.9), (1, 'dog', box(30), 0.8)]), 0).tolist() == [
        *([0, 2, 0], [0, 0, 0], [0, 0, 0])
    ]


def test_of_two_wrong_classes_the_one_that_fits_better_counts(tmp_path):
    classes = ('cat', 'dog', 'eel')
    detections = [(1, 'dog', box(25), 0.9), (1, 'eel', box(5), 0.8)]
    table = confusion(match(*read(tmp_path, OBJECTS[:1], detections, classes)), 0)
    assert table.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_without_objects_or_detections(tmp_path):
    assert confusion(matches_of(tmp_path, OBJECTS, []), 0.5).tolist() == [[0, 0, 3], [0, 0, 1], [0, 0, 0]]
    assert confusion(matches_of(tmp_path, [], [(1, 'dog', box(0), 0.9)]), 0.5)[2].tolist() == [0, 1, 0]
