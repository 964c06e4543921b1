import json

import numpy as np
import pytest

from mfdet.errors import InputError
from mfdet.runtime import Detections
from mfdet.runtime.thresholds import ThresholdedDetector, read_thresholds

CLASSES = ['cat', 'dog']


def test_thresholds_come_in_the_order_of_the_model(tmp_path):
    path = tmp_path / 'thresholds.json'
    path.write_text(json.dumps(dict(overall=0.5, classes=dict(dog=0.25, cat=0.75))))
    assert read_thresholds(path, CLASSES).tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        ('{', 'is not a JSON file'),
        ('[]', 'must be {"classes": {name: score, ...}}'),
        ('{"classes": [0.5, 0.5]}', 'must be {"classes": {name: score, ...}}'),
        ('{"classes": {"cat": 0.5}}', 'has no threshold for dog; the classes of the model are cat, dog'),
        (
            '{"classes": {"cat": 0.5, "dog": 0.5, "eel": 0.5}}',
            'for classes that the model does not know: eel; the classes of the model are cat, dog',
        ),
        ('{"classes": {"cat": 0.5, "dog": 1.5}}', 'the threshold of dog must be a score from 0 to 1, not 1.5'),
        ('{"classes": {"cat": true, "dog": 0.5}}', 'the threshold of cat must be a score from 0 to 1, not True'),
        ('{"classes": {"cat": "0.5", "dog": 0.5}}', "must be a score from 0 to 1, not '0.5'"),
        ('{"classes": {"cat": NaN, "dog": 0.5}}', 'must be a score from 0 to 1, not nan'),
    ],
)
def test_files_that_do_not_fit(content, says, tmp_path):
    path = tmp_path / 'thresholds.json'
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_thresholds(path, CLASSES)
    assert str(error.value).startswith(f'{path}: ')
    assert says in str(error.value)


def test_each_class_is_kept_from_its_threshold_on():
    scores, labels = np.float32([0.8, 0.6, 0.5, 0.3]), np.array([0, 0, 1, 1])
    asked = {}

    class Model:
        classes = CLASSES

        def __call__(self, images, score_thr, batch_size):
            asked.update(score_thr=score_thr, batch_size=batch_size)
            boxes = np.arange(16, dtype=np.float32).reshape(4, 4)
            return [Detections(boxes, scores, labels, [CLASSES[i] for i in labels]) for _ in images]

    detector = ThresholdedDetector(Model(), np.array([0.7, 0.5]))
    assert detector.classes == CLASSES
    first, _ = detector(['a', 'b'], score_thr=0.9, batch_size=2)
    assert asked == dict(score_thr=0.5, batch_size=2)
    assert (first.labels.tolist(), first.names, first.boxes[:, 0].tolist()) == ([0, 1], ['cat', 'dog'], [0, 8])
