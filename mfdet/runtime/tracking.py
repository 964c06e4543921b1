"""Objects that keep a number from frame to frame, by ByteTrack of the package ``trackers``."""

import dataclasses
import importlib.util
import math

import numpy as np

from mfdet.errors import InputError

LEAST_SCORE = 0.1  # as in the paper: what scores less keeps no track alive
DUPLICATE = 0.5  # IoU of two boxes of a class that are taken for the same object


def can_track():
    """Tell whether the packages of ``mfdet[video]`` seem to be installed."""
    return importlib.util.find_spec('trackers') is not None


def import_trackers():
    """Return the modules ``trackers`` and ``supervision``, which brings the type that it takes.

    Raises:
        InputError: they cannot be imported.
    """
    try:
        import supervision
        import trackers
    except ImportError as error:
        raise InputError(
            f'tracking objects needs the package trackers: pip install "mfdet[video]", which brings another build of '
            f'OpenCV, see docs/video.md ({error})'
        ) from error
    return trackers, supervision


class Tracker:
    """Numbers the objects of one video, called with what a detector finds in each frame, in order.

    Objects are matched by the overlap of their boxes with where a Kalman filter expects them, each class by itself, so
    that a number belongs to one class. Detections below ``score_thr`` start no track, but those from ``least_score`` up
    keep one going while an object is hard to see; let the detector keep them: ``detector(image, tracker.least_score)``.
    Of boxes of a class with an IoU above 0.5 the best alone counts, or an object would have two tracks, which
    take turns. The same detections get the same numbers.

    Args:
        frame_rate: frames per second.
        score_thr: least score in [0, 1] of what starts a track and is returned, or one for each class, (classes,).
        lost_seconds: how long an object that is not detected keeps its number.

    Attributes:
        least_score: of the detections that are of use.

    Raises:
        InputError: an argument is wrong, or ``trackers`` is not installed.
    """

    def __init__(self, frame_rate, score_thr=0.3, lost_seconds=1.0):
        if not (math.isfinite(frame_rate) and frame_rate > 0):
            raise InputError(f'frame_rate must be a number of frames per second above 0, not {frame_rate}')
        if not (math.isfinite(lost_seconds) and lost_seconds >= 0):
            raise InputError(f'lost_seconds must be a number of seconds from 0 up, not {lost_seconds}')
        self._trackers, self._supervision = import_trackers()
        self._score_thr = np.asarray(score_thr, float)
        if not ((self._score_thr >= 0) & (self._score_thr <= 1)).all():
            raise InputError(f'score_thr must be from 0 to 1, not {score_thr}')
        self.least_score = min(LEAST_SCORE, float(self._score_thr.min()))
        self._options = dict(frame_rate=float(frame_rate), lost_track_buffer=round(30 * lost_seconds))  # at 30 frames/s
        self._of_class = {}
        self._numbers = {}  # of (class, number within it), in the order of their coming

    @property
    def count(self):
        """Number of objects that have got a number so far."""
        return len(self._numbers)

    def update(self, found, time=None):
        """Take the next frame.

        Args:
            found: :class:`mfdet.runtime.Detections` in it, with scores from ``least_score`` up.
            time: seconds since any start, for frames that do not come at the frame rate, such as a camera's; given for
                all frames or for none.

        Returns:
            :class:`mfdet.runtime.Detections` from ``score_thr`` up, without duplicates, with ``track_ids`` from 1 up.
            An object gets its number in the second frame in a row that it is found in; until then it is -1.
        """
        tracked, least = {}, np.full(len(found), np.inf)  # of duplicates
        for label in sorted({*self._of_class, *found.labels.tolist()}):
            rows = np.flatnonzero(found.labels == label)
            boxes = self._supervision.Detections(
                xyxy=found.boxes[rows].reshape(-1, 4).astype(float), confidence=found.scores[rows], data=dict(row=rows)
            ).with_nms(DUPLICATE, class_agnostic=True)
            least[boxes.data['row']] = self._threshold(label)
            result = self._tracker(label).update(boxes, timestamp=time)
            pairs = zip(result.data.get('row', ()), result.tracker_id.tolist(), strict=True)
            tracked.update({int(row): (label, number) for row, number in pairs if number >= 0})
        ids = np.full(len(found), -1)
        for row in sorted(tracked):  # so that of those that come together the best has the first number
            ids[row] = self._numbers.setdefault(tracked[row], len(self._numbers) + 1)
        return dataclasses.replace(found, track_ids=ids).filter(least)

    def _threshold(self, label):
        return float(self._score_thr[label] if self._score_thr.ndim else self._score_thr)

    def _tracker(self, label):
        if label not in self._of_class:
            score = self._threshold(label)
            self._of_class[label] = self._trackers.ByteTrackTracker(
                track_activation_threshold=score, high_conf_det_threshold=score, **self._options
            )
        return self._of_class[label]
