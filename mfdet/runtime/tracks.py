"""The tracks of a video as files: the text of the MOT Challenge, and JSON with names."""

import json
from collections import Counter

from mfdet.files import write_file


class Tracks:
    """Collects what a :class:`mfdet.runtime.Tracker` returns; ``len()`` is the number of tracks.

    Args:
        source: name of the video.
        frame_rate: frames per second.
    """

    def __init__(self, source, frame_rate):
        self.source, self.frame_rate, self.frames = source, frame_rate, 0
        self._tracks = {}

    def __len__(self):
        return len(self._tracks)

    def add(self, found):
        """Add the next frame: :class:`mfdet.runtime.Detections` with ``track_ids``."""
        self.frames += 1
        for name, result in zip(found.names, found.to_coco(), strict=True):
            if 'track_id' in result:
                number = result['track_id']
                track = self._tracks.setdefault(number, dict(id=number, label=name, frames=[], boxes=[], scores=[]))
                for key, value in (('frames', self.frames), ('boxes', result['bbox']), ('scores', result['score'])):
                    track[key].append(value)

    def to_mot(self):
        """Return the lines of the MOT Challenge, by frame: ``frame,id,x,y,w,h,score,-1,-1,-1``.

        As it defines, frames, ids and pixels count from 1: the upper left corner of the image is (1, 1).
        """
        rows = sorted(
            (frame, track['id'], *box, score)
            for track in self._tracks.values()
            for frame, box, score in zip(track['frames'], track['boxes'], track['scores'], strict=True)
        )
        return ''.join(
            f'{frame},{number},{x + 1:.2f},{y + 1:.2f},{width:.2f},{height:.2f},{score:.4f},-1,-1,-1\n'
            for frame, number, x, y, width, height, score in rows
        )

    def to_dict(self):
        """Return the video and its tracks, by id, each with its label and one entry a frame that it is seen in.

        Frames count from 1; boxes are x, y, width and height in pixels, of which the upper left corner is (0, 0).
        """
        video = dict(source=self.source, frame_rate=self.frame_rate, frames=self.frames)
        tracks = [self._tracks[number] for number in sorted(self._tracks)]
        return dict(video=video, labels=dict(Counter(track['label'] for track in tracks)), tracks=tracks)

    def write(self, mot, table):
        """Write :meth:`to_mot` and :meth:`to_dict` to two paths, see :func:`mfdet.files.write_file`."""
        write_file(mot, self.to_mot().encode())
        write_file(table, json.dumps(self.to_dict()).encode())
