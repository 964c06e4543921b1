"""Following objects through a prediction: the model and the scores for it, the order of frames, what is collected."""

import configparser
import os
import re
from pathlib import Path

from mfdet.errors import InputError

BUFFER = 1.0  # seconds that an object that is not seen keeps its number


def load_model(args):
    """Load the detector of ``predict``.

    Returns:
        The detector, and the score from which on detections are shown: a number, or with ``--track`` and
        ``--thresholds`` one for each class; without ``--track`` the detector itself applies those of classes.

    Raises:
        InputError: a file is missing or wrong.
    """
    from mfdet.detector import load_detector
    from mfdet.runtime.thresholds import ThresholdedDetector, read_thresholds

    model = load_detector(args.model, args.config, args.device, args.threads, args.precision)
    if not args.thresholds:
        return model, args.score_thr
    thresholds = read_thresholds(args.thresholds, model.classes)
    return (model, thresholds) if args.track else (ThresholdedDetector(model, thresholds), args.score_thr)


class Follower:
    """A :class:`mfdet.runtime.Tracker` that collects the :class:`mfdet.runtime.tracks.Tracks`.

    Args:
        source: name of the video.
        frame_rate, score_thr, lost_seconds: as of the tracker.
    """

    def __init__(self, source, frame_rate, score_thr, lost_seconds):
        from mfdet.runtime.tracking import Tracker
        from mfdet.runtime.tracks import Tracks

        self._tracker = Tracker(frame_rate, score_thr, BUFFER if lost_seconds is None else lost_seconds)
        self.tracks = Tracks(source, frame_rate)
        self.least_score = self._tracker.least_score

    def __call__(self, number, found):
        """Return the tracked detections of frame ``number``, from 0; frames left out before it are ones without any."""
        while self.tracks.frames < number:
            self.tracks.add(self.update(found.filter(classes=())))
        found = self.update(found)
        self.tracks.add(found)
        return found

    def update(self, found, time=None):
        """Return the tracked detections of the next frame, which are not collected; see the tracker's own."""
        return self._tracker.update(found, time)

    @property
    def count(self):
        """Number of objects so far."""
        return self._tracker.count


def find_sequence(inputs, fps):
    """Find the frames of a video that was given as a folder, with the ``seqinfo.ini`` of the MOT Challenge or without.

    Args:
        inputs: what the user named.
        fps: frames per second, or None.

    Returns:
        The folder of the frames, the name of the sequence, and its frames per second.

    Raises:
        InputError: it is not one folder, or nothing says how many frames there are in a second.
    """
    if len(inputs) > 1 or not os.path.isdir(inputs[0]):
        raise InputError(
            '--track follows objects through one video, one camera or one folder of numbered frames, not through '
            'images that have nothing to do with each other'
        )
    folder = Path(os.path.abspath(inputs[0]))
    name, rate, frames = folder.name, None, inputs[0]
    for place in (folder, folder.parent):
        if (place / 'seqinfo.ini').is_file():
            info = _read_info(place / 'seqinfo.ini')
            images = info.get('imDir', 'img1')
            if place == folder:
                frames = os.path.join(inputs[0], images)
            elif images != folder.name:
                continue
            name = info.get('name', place.name)
            rate = info.getfloat('frameRate')
            break
    if not (fps or rate):
        raise InputError(f'{inputs[0]}: a folder does not say how many of its frames make a second; give --fps')
    return frames, os.path.basename(name), fps or rate


def in_order(files):
    """Return a dict from name to path by the numbers in the names, of frames in one folder.

    Raises:
        InputError: they lie in several folders.
    """
    deeper = next((name for name in files if os.path.dirname(name)), None)
    if deeper:
        raise InputError(f'--track follows objects through the frames of one folder, but {deeper} lies in one below it')
    numbers = {name: [int(part) if part.isdecimal() else part for part in re.split(r'(\d+)', name)] for name in files}
    return {name: files[name] for name in sorted(files, key=numbers.get)}


def _read_info(path):
    parser = configparser.ConfigParser()
    try:
        parser.read(path, encoding='utf-8')
        info = parser['Sequence']
        if not info.getfloat('frameRate', 1) > 0:
            raise ValueError
    except (configparser.Error, ValueError, KeyError, OSError) as error:
        raise InputError(
            f'{path}: must have a section [Sequence] with frameRate, the frames per second, as those of the MOT '
            'Challenge have'
        ) from error
    return info
