import cv2
import numpy as np
import pytest
from pictures import video

from mfdet.errors import InputError
from mfdet.runtime.video import frames_of, open_video, video_writer


@pytest.mark.parametrize(('suffix', 'head'), [('.mp4', b'ftyp'), ('.webm', b'\x1a\x45\xdf\xa3')])
def test_what_is_written_is_read(tmp_path, suffix, head):
    path = tmp_path / f'clip{suffix}'
    with video_writer(path, 10) as write:
        for value in (40, 120, 200):
            write(np.full((48, 64, 3), value, np.uint8))
        assert not path.exists()
    assert head in path.read_bytes()[:12]
    clip, rate, expected = open_video(path)
    assert (rate, expected) == (10, 3)
    problems = []
    means = [frame.mean() for frame in frames_of(clip, path, expected, problems.append)]
    np.testing.assert_allclose(means, [40, 120, 200], atol=8)
    assert problems == []
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_video_that_ends_early_is_reported(tmp_path):
    path = video(str(tmp_path / 'clip.mp4'))
    clip, _, expected = open_video(path)
    clip.set(cv2.CAP_PROP_POS_FRAMES, 3)
    problems = []
    assert len(list(frames_of(clip, path, expected, problems.append))) == 2
    assert problems == [f'{path}: can be read up to frame 2 of about 5 only, it may be damaged']


def test_no_video(tmp_path):
    with pytest.raises(InputError, match=r'clip\.mp4: is damaged or not a video'):
        open_video(tmp_path / 'clip.mp4')
