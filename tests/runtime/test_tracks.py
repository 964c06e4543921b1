import json

import numpy as np

from mfdet.runtime import Detections
from mfdet.runtime.tracks import Tracks


def found(*rows):
    """Detections of (x, label, score, track id), squares of 10 pixels at y = 2."""
    boxes = np.float32([[x, 2, x + 10, 12] for x, *_ in rows]).reshape(-1, 4)
    labels = np.int64([label for _, label, *_ in rows])
    names = [('cat', 'dog')[label] for label in labels]
    return Detections(
        boxes, np.float32([row[2] for row in rows]), labels, names, track_ids=np.int64([row[3] for row in rows])
    )


def clip():
    tracks = Tracks('clip.mp4', 25)
    for frame in (found((0, 0, 0.5, -1)), found((5.5, 1, 0.75, 2), (1, 0, 0.5, 1)), found(), found((3, 0, 0.25, 1))):
        tracks.add(frame)
    return tracks


def test_mot_counts_frames_and_pixels_from_1():
    assert clip().to_mot().splitlines() == [
        '2,1,2.00,3.00,10.00,10.00,0.5000,-1,-1,-1',
        '2,2,6.50,3.00,10.00,10.00,0.7500,-1,-1,-1',
        '4,1,4.00,3.00,10.00,10.00,0.2500,-1,-1,-1',
    ]
    assert Tracks('clip.mp4', 25).to_mot() == ''


def test_json_has_names_and_pixels_from_0(tmp_path):
    clip().write(tmp_path / 'clip.txt', tmp_path / 'clip_tracks.json')
    assert (tmp_path / 'clip.txt').read_text() == clip().to_mot()
    assert json.loads((tmp_path / 'clip_tracks.json').read_text()) == dict(
        video=dict(source='clip.mp4', frame_rate=25, frames=4),
        labels=dict(cat=1, dog=1),
        tracks=[
            dict(id=1, label='cat', frames=[2, 4], boxes=[[1, 2, 10, 10], [3, 2, 10, 10]], scores=[0.5, 0.25]),
            dict(id=2, label='dog', frames=[2], boxes=[[5.5, 2, 10, 10]], scores=[0.75]),
        ],
    )
