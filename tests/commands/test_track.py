"""``predict --track``, and ``--show`` and cameras."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_model
from pictures import grey, video

from mfdet.commands.predict import main
from mfdet.runtime import Detector
from mfdet.runtime.tracking import can_track

needs_trackers = pytest.mark.skipif(not can_track(), reason='needs trackers: pip install "mfdet[video]"')
LINES = [
    '3,1,1.00,1.00,320.00,240.00',
    '4,1,1.00,1.00,320.00,240.00',
    '5,1,1.00,1.00,320.00,240.00',
    '5,2,1.00,1.00,160.00,120.00',
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with model.onnx, see tiny_model.py: the whole of an image is a cat, its quarter a dog."""
    tiny_model.save_onnx(tmp_path / 'model.onnx')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*args):
    return main(['model.onnx', *map(str, args)])


def lines(path):
    rows = Path(path).read_text().splitlines()
    assert all(row.endswith(',-1,-1,-1') for row in rows)
    return [','.join(row.split(',')[:6]) for row in rows]  # without scores, which a codec changes


def files(out='predictions'):
    return sorted(path.name for path in Path(out).iterdir())


def sequence(folder, values, names=None, info='[Sequence]\nname=MOT-1\nimDir=img1\nframeRate=5\n'):
    for name, value in zip(names or [f'{i}.png' for i in range(8, 8 + len(values))], values, strict=True):
        grey(f'{folder}/img1/{name}', value, (240, 320))
    if info:
        Path(folder, 'seqinfo.ini').write_text(info)


@needs_trackers
def test_a_video(capsys):
    # Cats score 0.2, 0.4, ..., dogs half of that: the cat starts with the second frame, the dog with the fourth.
    assert predict(video('clip.mp4'), '--track') == 0
    assert capsys.readouterr().out.startswith('5 images, 6 detections, 2 tracks, ')
    assert files() == ['clip.mp4', 'clip.txt', 'clip_tracks.json', 'predictions.json']
    assert lines('predictions/clip.txt') == LINES
    tracks = json.loads(Path('predictions/clip_tracks.json').read_text())
    assert tracks['video'] == dict(source='clip.mp4', frame_rate=10, frames=5)
    assert [(track['id'], track['label'], track['frames']) for track in tracks['tracks']] == [
        (1, 'cat', [3, 4, 5]),
        (2, 'dog', [5]),
    ]
    found = json.loads(Path('predictions/predictions.json').read_text())['annotations']
    numbers = [(one['image_id'], one['category_id'], one.get('track_id')) for one in found]
    assert numbers == [(1, 1, None), (2, 1, 1), (3, 1, 1), (3, 2, None), (4, 1, 1), (4, 2, 2)]


@needs_trackers
def test_torch_is_not_needed():
    code = (
        'import sys; from mfdet.commands.predict import main; code = main(sys.argv[1:]); '
        'heavy = {"torch", "mmdet", "mmengine", "mmcv"} & set(sys.modules); assert not heavy, heavy; sys.exit(code)'
    )
    args = ['model.onnx', video('clip.mp4'), '--track', '--threads', '1']
    done = subprocess.run([sys.executable, '-c', code, *args], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, '')


@needs_trackers
def test_numbers_are_drawn():
    clip = video('clip.mp4', (200, 200), (480, 640))
    assert predict(clip, '--out', 'plain') == predict(clip, '--track') == 0
    plain, tracked = (cv2.VideoCapture(f'{out}/clip.mp4') for out in ('plain', 'predictions'))
    changed = [np.abs(plain.read()[1].astype(int) - tracked.read()[1]).max(-1) > 60 for _ in range(2)]
    assert not changed[0].any()  # a number comes with the second frame
    rows, columns = np.nonzero(changed[1])
    assert len(rows) > 20
    assert rows.max() < 40  # beside the labels, at the upper edge
    assert columns.max() < 200


@needs_trackers
@pytest.mark.parametrize('kind', ['video', 'folder'])
def test_an_interrupted_one_goes_on_and_ends_as_one_left_alone(monkeypatch, kind):
    sequence('seq', (50, 100, 150, 200, 250))
    clip = video('clip.avi', fourcc='MJPG') if kind == 'video' else 'seq'
    assert predict(clip, '--track', '--out', 'alone') == 0
    run, left = Detector.run, iter([1, 2, 3])

    def stop(self, images, sizes):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return run(self, images, sizes)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, 'run', stop)
        assert predict(clip, '--track') == 130
    assert files() == ['10.png', '8.png', '9.png', 'predictions.jsonl'][3 if kind == 'video' else 0 :]
    assert predict(clip) == 2  # of other detections
    assert predict(clip, '--track') == 0
    for name in files('alone'):
        assert Path('predictions', name).read_bytes() == Path('alone', name).read_bytes() or name == 'clip.mp4'
    assert files() == files('alone')


@needs_trackers
def test_batches_and_thresholds_of_classes():
    clip = video('clip.mp4')
    assert predict(clip, '--track', '--batch', 3) == 0
    assert lines('predictions/clip.txt') == LINES
    Path('thresholds.json').write_text('{"classes": {"cat": 0.7, "dog": 0.15}}')
    assert predict(clip, '--track', '--thresholds', 'thresholds.json', '--out', 'other') == 0
    assert [line.split(',')[:2] for line in lines('other/clip.txt')] == [['3', '1'], ['4', '1'], ['5', '1'], ['5', '2']]
    tracks = json.loads(Path('other/clip_tracks.json').read_text())['tracks']
    assert [track['label'] for track in tracks] == ['dog', 'cat']


@needs_trackers
@pytest.mark.parametrize('args', [['seq'], ['seq/img1'], ['seq/img1', '--fps', '9']])
def test_a_folder_of_frames(args):
    sequence('seq', (50, 100, 150, 200, 250))  # 8.png to 12.png, which letters would sort otherwise
    assert predict(*args, '--track') == 0
    assert lines('predictions/MOT-1.txt') == LINES
    tracks = json.loads(Path('predictions/MOT-1_tracks.json').read_text())
    assert tracks['video'] == dict(source='MOT-1', frame_rate=9 if '--fps' in args else 5, frames=5)
    assert files() == ['10.png', '11.png', '12.png', '8.png', '9.png', *files()[5:]]
    assert files()[5:] == ['MOT-1.txt', 'MOT-1_tracks.json', 'predictions.json']


@needs_trackers
def test_a_frame_that_cannot_be_read_takes_its_time(capsys):
    sequence('seq', [200] * 10, info=None)
    for i in (11, 12, 13):
        Path(f'seq/img1/{i}.png').write_text('broken')
    assert predict('seq/img1', '--track', '--fps', 10) == 1
    assert sorted({line.split(',')[0] for line in lines('predictions/img1.txt')}, key=int) == [
        '2',
        '3',
        '7',
        '8',
        '9',
        '10',
    ]
    assert capsys.readouterr().out.startswith('7 images, 14 detections, 2 tracks')
    assert predict('seq/img1', '--track', '--fps', 10, '--track-buffer', 0.2, '--out', 'short') == 1
    assert capsys.readouterr().out.startswith('7 images, 14 detections, 4 tracks')


@needs_trackers
@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['a.png'], '--track follows objects through one video, one camera or one folder of numbered frames, not'),
        (['photos', 'a.png'], '--track follows objects through one video, one camera or one folder'),
        (['photos'], 'photos: a folder does not say how many of its frames make a second; give --fps'),
        (['deep', '--fps', '5'], 'but sub/x.png lies in one below it'),
        (['wrong'], 'wrong/seqinfo.ini: must have a section [Sequence] with frameRate'),
        (['photos', '--fps', '0'], '--fps must be above 0, got 0.0'),
        (['photos', '--fps', 'nan'], '--fps must be above 0, got nan'),
        (['photos', '--fps', '5', '--track-buffer', '-1'], '--track-buffer must be 0 seconds or more, got -1.0'),
    ],
)
def test_mistakes_of_tracking(args, says, capsys):
    for path in ('a.png', 'photos/1.png', 'deep/1.png', 'deep/sub/x.png'):
        grey(path)
    sequence('wrong', [200], info='frameRate=5')
    assert predict(*args, '--track') == 2
    assert says in capsys.readouterr().err
    assert not Path('predictions').exists()


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['a.png', '--show'], '--show is for a video or a camera'),
        (['a.png', '--fps', '5'], '--fps is for a video or a camera'),
        (['a.png', '--track-buffer', '5'], '--track-buffer goes with --track'),
        (['0'], 'INPUT is a camera: --show shows what it sees, --out FILE.mp4 records it'),
        (['0', '--out', 'folder'], '--out folder: what a camera sees is recorded in a file that ends in .mp4 or .webm'),
        (['0', '--out', 'no/a.mp4'], '--out no/a.mp4: its folder does not exist'),
        (['0', '--out', 'there.mp4'], '--out there.mp4: there.mp4 is there already; name another file'),
        (['97', '--out', 'new.mp4'], 'camera 97: there is none of this number, or another program is using it'),
    ],
)
def test_mistakes_of_showing_and_cameras(args, says, capfd):
    grey('a.png')
    Path('there.mp4').touch()
    assert predict(*args) == 2
    assert capfd.readouterr().err.startswith(f'error: {says}')
    assert not Path('new.mp4').exists()


def test_without_the_package_nothing_is_read(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'trackers', None)
    monkeypatch.setitem(sys.modules, 'supervision', None)
    assert main(['none.onnx', 'none.mp4', '--track']) == 2
    assert 'needs the package trackers: pip install "mfdet[video]"' in capsys.readouterr().err


def test_without_a_display(monkeypatch, capsys):
    pytest.importorskip('tkinter')
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    clip = video('clip.mp4')
    assert predict(clip, '--show') == 2
    assert capsys.readouterr().err.startswith('error: --show: there is no display to open a window on (')
    monkeypatch.setitem(sys.modules, 'tkinter', None)
    assert predict(clip, '--show') == 2
    assert 'a window needs tkinter, which this Python lacks' in capsys.readouterr().err
    assert not Path('predictions').exists()


class Window:
    """Stands for one on the screen, closed by the user after a number of images."""

    def __init__(self, after):
        self.shown, self.after = [], after

    @property
    def closed(self):
        return len(self.shown) >= self.after

    def show(self, image, until=0.0):
        self.shown.append(image)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def test_a_video_is_shown_until_q(monkeypatch, capsys):
    clip = video('clip.mp4')
    for after, code in ((9, 0), (3, 130)):
        window = Window(after)
        monkeypatch.setattr('mfdet.runtime.window.open_window', lambda title, window=window: window)
        assert predict(clip, '--show', '--out', f'out{after}') == code
        assert [image.shape for image in window.shown] == [(480, 640, 3)] * (5 if code == 0 else 3)
    assert 'interrupted: what was found in 3 images is kept in' in capsys.readouterr().err
    assert files('out3') == ['predictions.jsonl']


class Camera:
    """Stands for a camera of 50 grey images a second; ``act`` is called with the number of each."""

    count, act = 10, staticmethod(lambda number: None)

    def __init__(self, number):
        self.frame = 0

    def isOpened(self):
        return True

    def set(self, *_):
        return True

    def get(self, what):
        return 50.0 if what == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        time.sleep(0.02)
        self.frame += 1
        self.act(self.frame)
        return self.frame <= self.count, np.full((240, 320, 3), 200, np.uint8)

    def release(self):
        pass


@pytest.fixture
def camera(monkeypatch):
    """Change the class of cameras by what it is called with."""
    capture = cv2.VideoCapture

    def change(**fields):
        made = type('Camera', (Camera,), {name: staticmethod(f) if callable(f) else f for name, f in fields.items()})
        monkeypatch.setattr(cv2, 'VideoCapture', lambda what: (made if isinstance(what, int) else capture)(what))

    return change


def seen(path):
    clip, count = cv2.VideoCapture(path), 0
    while clip.read()[0]:
        count += 1
    return count, clip.get(cv2.CAP_PROP_FPS)


def test_ctrl_c_ends_a_recording_well(camera, capsys):
    handler = signal.getsignal(signal.SIGINT)
    camera(count=1000, act=lambda number: number == 5 and os.kill(os.getpid(), signal.SIGINT))
    assert predict('0', '--out', 'clip.mp4') == 0
    assert capsys.readouterr().out.startswith('5 images, 10 detections, ')
    count, rate = seen('clip.mp4')
    assert rate == 50
    assert count >= 4
    assert signal.getsignal(signal.SIGINT) is handler
    assert not list(Path().glob('.part*'))


def test_a_slow_detector_makes_no_fast_clip(camera, monkeypatch, capsys):
    run = Detector.run

    def slow(self, *args):
        time.sleep(0.2)
        return run(self, *args)

    monkeypatch.setattr(Detector, 'run', slow)
    camera(count=4)
    assert predict('0', '--out', 'clip.mp4') == 1  # it is unplugged
    assert capsys.readouterr().err == 'error: camera 0: gives no more images\n'
    assert seen('clip.mp4')[0] > 3 * 0.2 * 50  # as long as it took
    assert predict('0', '--out', 'slow.mp4', '--fps', 5) == 1
    assert 4 <= seen('slow.mp4')[0] < 15


@needs_trackers
def test_a_camera_is_tracked(camera, monkeypatch, capsys):
    window = Window(6)
    monkeypatch.setattr('mfdet.runtime.window.open_window', lambda title: window)
    camera()
    assert predict('0', '--show', '--track', '--out', 'clip.mp4') == 0
    assert capsys.readouterr().out.startswith('6 images, 12 detections, 2 tracks, ')
    tracks = json.loads(Path('clip_tracks.json').read_text())
    assert tracks['video'] == dict(source='camera 0', frame_rate=50, frames=seen('clip.mp4')[0])
    assert {line.split(',')[1] for line in lines('clip.txt')} == {'1', '2'}
    assert predict('0', '--track', '--out', 'clip.webm') == 2
    assert '--out clip.webm: clip.txt is there already' in capsys.readouterr().err


def test_a_camera_that_gives_nothing(camera, capsys):
    camera(count=0)
    assert predict('0', '--out', 'clip.mp4') == 2
    assert capsys.readouterr().err == 'error: camera 0: gives no images\n'
    assert not Path('clip.mp4').exists()


def test_a_file_of_a_camera_s_name_is_a_file():
    grey('0/a.png')
    assert predict('0') == 0
    assert files() == ['a.png', 'predictions.json']
