"""A video through a detector: the same video with boxes, which browsers play."""

import dataclasses
import time
from pathlib import Path

from mfdet.page.uploads import open_upload
from mfdet.runtime import Tracker
from mfdet.runtime.video import frames_of, video_writer


@dataclasses.dataclass
class Progress:
    """How far a clip is.

    Attributes:
        expected: number of frames that the video says it has, 0 if it does not say.
        frames: number of those done.
        detections: what was found in them, in all.
        seconds: since the start.
        problem: a sentence if the video ends early, or None.
    """

    expected: int
    frames: int = 0
    detections: int = 0
    seconds: float = 0.0
    problem: str | None = None


def annotate(model, path, out, score, track=False):
    """Detect objects in each frame of a video, and write the clip with their boxes.

    Args:
        model: a detector, such as :class:`mfdet.runtime.Detector`.
        path: the video.
        out: the clip, ``.webm``; it stands there when the last value has been taken.
        score: least score to draw.
        track: number the objects and follow them.

    Yields:
        The one :class:`Progress`, changed, after each frame. Closed before the end, it leaves no clip.

    Raises:
        InputError: it is no video, or the model, the tracker or the writer fail on it.
    """
    video, rate, expected = open_upload(path)
    progress, start = Progress(expected), time.perf_counter()

    def report(sentence):
        progress.problem = sentence.replace(str(path), Path(path).name)

    tracker = Tracker(rate, score) if track else None
    with video_writer(out, rate) as write:
        for image in frames_of(video, path, expected, report):
            found = model(image, score_thr=tracker.least_score if tracker else score)
            if tracker:
                found = tracker.update(found)
            write(found.draw(image))
            progress.frames += 1
            progress.detections += len(found)
            progress.seconds = time.perf_counter() - start
            yield progress
