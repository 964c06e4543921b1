import sys

import numpy as np
import pytest

from mfdet.data.moving_shapes import frames
from mfdet.data.shapes import CLASSES
from mfdet.errors import InputError
from mfdet.runtime import Detections, Tracker
from mfdet.runtime.tracking import can_track

needs_trackers = pytest.mark.skipif(not can_track(), reason='needs trackers: pip install "mfdet[video]"')


def detections(boxes, labels, scores=None):
    scores = np.full(len(labels), 0.9) if scores is None else scores
    names = [CLASSES[label] for label in labels]
    return Detections(np.float32(boxes).reshape(-1, 4), np.float32(scores), np.int64(labels), names)


def square(x, y=0.0, side=20.0):
    return [x, y, x + side, y + side]


def follow(tracker, steps):
    """Return the track ids of each step, a list of (x, label, score); None where nothing is found."""
    found = [
        tracker.update(
            detections([square(x) for x, _, _ in step], [k for _, k, _ in step], [score for _, _, score in step])
        )
        for step in steps
    ]
    return [dict(zip(one.names, one.track_ids.tolist(), strict=True)) for one in found]


@needs_trackers
def test_moving_shapes_keep_their_numbers():
    rng = np.random.default_rng(0)
    tracker, pairs = Tracker(frame_rate=25), []
    for (_, boxes, labels), numbers in frames(150, seed=1, size=(96, 96), objects=4):
        order = rng.permutation(len(labels))  # a detector's order says nothing
        jitter = rng.normal(0, 1, (len(labels), 4))
        found = tracker.update(detections((boxes + jitter)[order], labels[order]))
        pairs += zip(numbers[order].tolist(), found.track_ids.tolist(), found.names, strict=True)
    followed = [(true, number) for true, number, _ in pairs if number > 0]
    assert len(set(followed)) == len({true for true, *_ in pairs}) == 4  # each object has one number,
    assert len({number for _, number in followed}) == 4  # and no other has it
    assert len(followed) > 0.97 * len(pairs)
    assert len({(number, name) for _, number, name in pairs if number > 0}) == 4


@needs_trackers
def test_a_number_comes_with_the_second_frame_and_survives_a_gap():
    way = [[(4 * i, 0, 0.9)] for i in range(12)]
    way[5:9] = [[], [], [], []]
    ids = follow(Tracker(frame_rate=10), way)
    assert ids == [{'ellipse': -1}] + [{'ellipse': 1}] * 4 + [{}] * 4 + [{'ellipse': 1}] * 3


@needs_trackers
@pytest.mark.parametrize(('rate', 'seconds', 'last'), [(10, 0.5, 1), (10, 0.2, 2), (30, 0.2, 1), (30, 0.0, 2)])
def test_how_long_a_lost_object_keeps_its_number_goes_by_the_clock(rate, seconds, last):
    gap = 4  # frames: 0.4 s at 10 frames/s
    steps = [[(0, 0, 0.9)]] * 3 + [[]] * gap + [[(0, 0, 0.9)]] * 3
    assert follow(Tracker(rate, lost_seconds=seconds), steps)[-1] == {'ellipse': last}


@needs_trackers
def test_times_count_where_frames_are_uneven():
    def last(times):
        tracker = Tracker(10, lost_seconds=0.5)
        return [tracker.update(detections([square(0)], [0]), time).track_ids.tolist() for time in times][-1]

    assert last([0, 0.1, 0.2, 0.5, 0.6]) == [1]
    assert last([0, 0.1, 0.2, 3.5, 3.6]) == [2]


@needs_trackers
def test_classes_that_cross_do_not_swap_numbers():
    steps = [[(4 * i, 0, 0.9), (80 - 4 * i, 1, 0.9)] for i in range(20)]
    for step in steps[::2]:
        step.reverse()
    ids = follow(Tracker(frame_rate=25), steps)
    assert ids[1:] == [{'ellipse': 1, 'rectangle': 2}] * 19
    # An object that turns into another class gets another number.
    ids = follow(Tracker(frame_rate=25), [[(0, 0, 0.9)]] * 3 + [[(0, 1, 0.9)]] * 3)
    assert ids[2:] == [{'ellipse': 1}, {'rectangle': -1}, {'rectangle': 2}, {'rectangle': 2}]


@needs_trackers
def test_low_scores_keep_a_number_and_are_not_shown():
    tracker = Tracker(frame_rate=5, score_thr=0.5, lost_seconds=0.2)  # a frame
    assert tracker.least_score == 0.1
    scores = [0.9, 0.9, 0.2, 0.2, 0.2, 0.2, 0.9]
    ids = follow(tracker, [[(9 * i, 0, score)] for i, score in enumerate(scores)])
    assert ids == [{'ellipse': -1}, {'ellipse': 1}, {}, {}, {}, {}, {'ellipse': 1}]
    assert follow(tracker, [[(0, 3, 0.4)]] * 3) == [{}] * 3  # starts none
    assert tracker.count == 1


@needs_trackers
def test_classes_may_have_scores_of_their_own():
    tracker = Tracker(frame_rate=5, score_thr=np.array([0.8, 0.05]))
    assert tracker.least_score == 0.05
    ids = follow(tracker, [[(0, 0, 0.7), (50, 1, 0.06)]] * 2)
    assert ids == [{'rectangle': -1}, {'rectangle': 1}]


@needs_trackers
def test_a_second_box_on_an_object_is_left_out():
    steps = [[(0, 0, 0.9), (4, 0, 0.6), (4, 1, 0.8)], [(0, 0, 0.6), (4, 0, 0.9)], [(0, 0, 0.9), (40, 0, 0.6)]]
    tracker, found = Tracker(frame_rate=5), []
    for step in steps:
        boxes, labels, scores = [square(x) for x, *_ in step], [k for _, k, _ in step], [score for *_, score in step]
        found.append(tracker.update(detections(boxes, labels, scores)))
    assert [one.boxes[:, 0].tolist() for one in found] == [[0, 4], [4], [0, 40]]
    assert [one.track_ids.tolist() for one in found] == [[-1, -1], [1], [1, -1]]


@needs_trackers
def test_what_comes_out_is_sorted_as_what_went_in():
    tracker = Tracker(frame_rate=5)
    for _ in range(2):
        found = tracker.update(detections([square(0), square(50), square(90)], [2, 0, 2], [0.9, 0.8, 0.7]))
    assert found.scores.tolist() == np.float32([0.9, 0.8, 0.7]).tolist()
    assert found.track_ids.tolist() == [1, 2, 3]
    assert found.boxes[1].tolist() == square(50)
    nothing = tracker.update(detections([], []))
    assert (len(nothing), nothing.track_ids.tolist()) == (0, [])


@needs_trackers
@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (dict(frame_rate=0.0), 'frame_rate must be a number of frames per second above 0, not 0.0'),
        (dict(frame_rate=float('nan')), 'frame_rate must be'),
        (dict(frame_rate=5, lost_seconds=-1), 'lost_seconds must be a number of seconds from 0 up, not -1'),
        (dict(frame_rate=5, score_thr=1.5), 'score_thr must be from 0 to 1, not 1.5'),
    ],
)
def test_mistakes(options, says):
    with pytest.raises(InputError, match=says):
        Tracker(**options)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'trackers', None)
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(InputError, match=r'tracking objects needs the package trackers: pip install "mfdet\[video\]"'):
        Tracker(frame_rate=25)
