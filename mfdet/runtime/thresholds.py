"""A score threshold for each class, as ``mfdet report`` finds them."""

from numbers import Real

import numpy as np

from mfdet.errors import InputError
from mfdet.files import read_json
from mfdet.values import listed


def read_thresholds(path, classes):
    """Read the ``thresholds.json`` of a report, ``{"overall": score, "classes": {name: score, ...}}``.

    Args:
        path: the file.
        classes: those of the model, each of which must be there, and no other.

    Returns:
        float (classes,): the least score to keep of each.

    Raises:
        InputError: the file cannot be read, is no such file, or is of other classes.
    """
    content = read_json(path)
    thresholds = content.get('classes') if isinstance(content, dict) else None
    if not isinstance(thresholds, dict):
        raise InputError(f'{path}: must be {{"classes": {{name: score, ...}}}}, as the thresholds.json of a report is')
    for what, names in (
        ('has no threshold for', [name for name in classes if name not in thresholds]),
        (
            'has thresholds for classes that the model does not know:',
            [name for name in thresholds if name not in classes],
        ),
    ):
        if names:
            raise InputError(f'{path}: {what} {listed(names, 5)}; the classes of the model are {listed(classes, 5)}')
    for name, score in thresholds.items():
        if not isinstance(score, Real) or isinstance(score, bool) or not 0 <= score <= 1:
            raise InputError(f'{path}: the threshold of {name} must be a score from 0 to 1, not {score!r}')
    return np.array([thresholds[name] for name in classes], float)


class ThresholdedDetector:
    """A detector that keeps what reaches the threshold of its class.

    Args:
        model: a detector, such as :class:`mfdet.runtime.Detector`.
        thresholds: float (classes,), the least score to keep of each class.
    """

    def __init__(self, model, thresholds):
        self.model, self.thresholds, self.classes = model, thresholds, model.classes

    def __call__(self, images, **options):
        """Detect objects; see the model's own call, whose ``score_thr`` is that of the classes."""
        found = self.model(images, **{**options, 'score_thr': float(self.thresholds.min())})
        return list(map(self._kept, found)) if isinstance(found, list) else self._kept(found)

    def _kept(self, found):
        return found.filter(self.thresholds[found.labels])
