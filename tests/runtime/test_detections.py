import dataclasses
import sys
import types

import numpy as np
import pytest

from mfdet.errors import InputError
from mfdet.runtime import Detections


@pytest.fixture
def found():
    boxes = np.float32([[0, 1, 10, 21], [5, 5, 9, 9], [2, 2, 4, 6]])
    return Detections(boxes, np.float32([0.9, 0.5, 0.25]), np.int64([0, 2, 0]), ['cat', 'dog', 'cat'], 'a.jpg')


def test_filter(found):
    few = found.filter(score=0.5)
    assert (len(few), few.names, few.labels.tolist(), few.source) == (2, ['cat', 'dog'], [0, 2], 'a.jpg')
    assert found.filter(0.2, classes='cat').scores.tolist() == [np.float32(0.9), 0.25]
    assert found.filter(classes=['dog', 'cow']).boxes.tolist() == [[5, 5, 9, 9]]
    assert found.filter(classes=[]).names == []
    assert len(found) == 3


def test_to_numpy(found):
    rows = found.to_numpy()
    assert rows.dtype == np.float32
    assert rows[1].tolist() == [5, 5, 9, 9, 0.5, 2]
    assert found.filter(1.0).to_numpy().shape == (0, 6)


def test_to_coco(found):
    assert found.to_coco(7)[:2] == [
        dict(image_id=7, category_id=1, bbox=[0, 1, 10, 20], score=np.float32(0.9).item()),
        dict(image_id=7, category_id=3, bbox=[5, 5, 4, 4], score=0.5),
    ]


def test_to_supervision(found, monkeypatch):
    made = types.SimpleNamespace(Detections=lambda **fields: fields)
    monkeypatch.setitem(sys.modules, 'supervision', made)
    fields = found.to_supervision()
    assert fields['class_id'].tolist() == [0, 2, 0]
    assert fields['data']['class_name'].tolist() == ['cat', 'dog', 'cat']
    assert found.filter(1.0).to_supervision()['xyxy'].shape == (0, 4)
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(InputError, match='to_supervision needs supervision: pip install supervision'):
        found.to_supervision()


def test_numbers_of_tracked_objects(found, monkeypatch):
    tracked = dataclasses.replace(found, track_ids=np.int64([7, -1, 12]))
    assert found.track_ids is None
    assert tracked.filter(classes='cat').track_ids.tolist() == [7, 12]
    assert tracked.to_numpy()[:, 6].tolist() == [7, -1, 12]
    assert [result.get('track_id') for result in tracked.to_coco()] == [7, None, 12]
    assert not any('track_id' in result for result in found.to_coco())
    monkeypatch.setitem(sys.modules, 'supervision', types.SimpleNamespace(Detections=lambda **fields: fields))
    assert tracked.to_supervision()['tracker_id'].tolist() == [7, -1, 12]
    assert found.to_supervision()['tracker_id'] is None
    image = np.zeros((400, 500, 3), np.uint8)
    none = dataclasses.replace(found, track_ids=np.int64([-1, -1, -1]))
    assert (none.draw(image) == found.draw(image)).all()
    assert (tracked.draw(image) != found.draw(image)).any()


def test_draw(found):
    image = np.zeros((400, 500, 3), np.uint8)
    picture = found.draw(image)
    assert picture.shape == image.shape
    assert picture.any()
    assert not image.any()
    assert not found.filter(1.0).draw(image).any()
