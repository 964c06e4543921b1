import cv2
import pytest
from pictures import video
from tiny_model import save_onnx

from mfdet.errors import InputError
from mfdet.page.clip import annotate
from mfdet.runtime import Detector
from mfdet.runtime.tracking import can_track
from mfdet.visualization import class_color


@pytest.fixture
def model(tmp_path):
    return Detector(save_onnx(tmp_path / 'model.onnx'))


def frames(path):
    clip = cv2.VideoCapture(str(path))
    while (frame := clip.read())[0]:
        yield frame[1]


def test_the_clip_has_the_frames_with_boxes(model, tmp_path):
    source, out = video(str(tmp_path / 'in.mp4'), size=(320, 480)), tmp_path / 'out.webm'
    steps = [(step.frames, step.detections, out.exists()) for step in annotate(model, source, out, 0.3)]
    # Whole images score 0.2, 0.4, ..., and their quarters half of that.
    assert steps == [(1, 0, False), (2, 1, False), (3, 2, False), (4, 4, False), (5, 6, False)]
    assert out.read_bytes()[:4] == b'\x1a\x45\xdf\xa3'  # of WebM, which browsers play
    drawn = list(frames(out))
    assert len(drawn) == 5
    assert drawn[0].shape == (320, 480, 3)
    assert abs(drawn[0].astype(int) - 50).max() < 12
    line = drawn[4][160, 60:200].astype(int)  # the lower side of the quarter, a line of one pixel
    assert (abs(line - class_color(1)).sum(1) < abs(line - 250).sum(1)).all()


def test_stopped_it_leaves_nothing(model, tmp_path):
    source, out = video(str(tmp_path / 'in.mp4')), tmp_path / 'clip' / 'out.webm'
    out.parent.mkdir()
    steps = annotate(model, source, out, 0.3)
    next(steps)
    assert list(out.parent.iterdir())
    steps.close()
    assert not list(out.parent.iterdir())


def test_a_video_that_ends_early_is_named(model, tmp_path):
    path = tmp_path / 'in.avi'
    video(str(path), values=range(0, 250, 5), fourcc='MJPG')
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *_, last = annotate(model, str(path), tmp_path / 'out.webm', 0.3)
    assert last.problem.startswith('in.avi: can be read up to frame ')


def test_no_video(model, tmp_path):
    (tmp_path / 'in.mp4').write_text('hello')
    with pytest.raises(InputError, match=r'^in.mp4: is damaged or not a video'):
        next(annotate(model, str(tmp_path / 'in.mp4'), tmp_path / 'out.webm', 0.3))


@pytest.mark.skipif(not can_track(), reason='needs trackers: pip install "mfdet[video]"')
def test_objects_are_numbered(model, tmp_path):
    source = video(str(tmp_path / 'in.mp4'), (200, 200), (320, 480))
    plain, numbered = (
        [step.detections for step in annotate(model, source, tmp_path / f'{track}.webm', 0.3, track)]
        for track in (False, True)
    )
    assert plain == numbered == [2, 4]
    first, second = (
        abs(one.astype(int) - two).max()
        for one, two in zip(*(frames(tmp_path / f'{track}.webm') for track in (False, True)), strict=True)
    )
    assert first < 60 < second  # a number comes with the second frame
