import numpy as np

from mfdet.data.moving_shapes import frames


def test_objects_move_and_keep_number_and_class():
    clip = list(frames(40, seed=3, size=(64, 96), objects=3))
    assert len(clip) == 40
    places = {}
    for image, numbers in clip:
        assert (image.image.shape, image.image.dtype) == ((64, 96, 3), np.uint8)
        assert len(image.boxes) == len(image.labels) == len(numbers)
        assert (image.boxes >= 0).all()
        assert (image.boxes <= [96, 64, 96, 64]).all()
        for number, label, box in zip(numbers.tolist(), image.labels.tolist(), image.boxes, strict=True):
            places.setdefault((number, label), []).append((box[:2] + box[2:]) / 2)
    assert [number for number, _ in sorted(places)] == [1, 2, 3]
    for way in places.values():
        assert np.ptp(way, axis=0).max() > 5


def test_a_box_is_where_its_object_is_painted():
    (first, _), *_, (last, _) = frames(30, seed=5, size=(64, 64), objects=1, clutter=0)
    changed = (first.image != last.image).any(-1)
    x1, y1, x2, y2 = (int(side) for side in last.boxes[0])
    assert changed[y1:y2, x1:x2].any(1).all()  # in each row
    changed[y1:y2, x1:x2] = False
    x1, y1, x2, y2 = (int(side) for side in first.boxes[0])
    changed[y1:y2, x1:x2] = False
    assert not changed.any()


def test_hidden_objects_are_left_out():
    seen = [numbers.tolist() for _, numbers in frames(250, seed=0, size=(64, 64), objects=4)]
    assert max(map(len, seen)) == 4
    assert min(map(len, seen)) < 4
    assert all(4 in numbers for numbers in seen)  # it is in front of all others


def test_a_clip_is_a_function_of_its_arguments():
    one, two, other = ([image.image for image, _ in frames(3, seed, (48, 48))] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (np.array(one) != np.array(other)).any()
