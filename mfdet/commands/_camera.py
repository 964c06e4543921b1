"""Prediction on what a camera sees, until the user ends it."""

import contextlib
import itertools
import os
import signal
import sys
import time
from pathlib import Path

from mfdet.commands._follow import Follower, load_model
from mfdet.errors import InputError
from mfdet.files import check_writable

USUAL_RATE = 30.0  # frames per second of a camera that does not say


def camera_number(inputs):
    """Return the number if INPUT is that of a camera, not a file or a folder of such a name; else None."""
    one = inputs[0] if len(inputs) == 1 else ''
    return int(one) if one.isdecimal() and not os.path.exists(one) else None


def check_recording(out, show, track):
    """Check ``--out`` of a camera.

    Returns:
        None without ``--out``; else a list of the video's path and, with ``track``, those of the tracks.

    Raises:
        InputError: it is no name for a new video, or there is neither that nor ``show``.
    """
    from mfdet.runtime.video import CODECS

    if out is None:
        if not show:
            raise InputError('INPUT is a camera: --show shows what it sees, --out FILE.mp4 records it')
        return None
    if not out.lower().endswith(tuple(CODECS)):
        raise InputError(f'--out {out}: what a camera sees is recorded in a file that ends in {" or ".join(CODECS)}')
    check_writable(out, '--out')
    paths = [Path(out), *(track_paths(Path(out).parent, Path(out).stem) if track else ())]
    taken = next((path for path in paths if path.exists()), None)
    if taken:
        raise InputError(f'--out {out}: {taken} is there already; name another file')
    return paths


def open_shown(args, stack):
    """Return the :class:`mfdet.runtime.window.Window` of ``--show``, None without it; ``stack`` closes it.

    Raises:
        InputError: there can be none.
    """
    if not args.show:
        return None
    from mfdet.runtime.window import open_window

    try:
        return stack.enter_context(open_window(f'mfdet: {args.input[0]}'))
    except InputError as error:
        raise InputError(f'--show: {error}; leave --show out, and give --out') from error


def track_paths(folder, stem):
    """Return where the tracks go as text of the MOT Challenge and as JSON."""
    return folder / f'{stem}.txt', folder / f'{stem}_tracks.json'


@contextlib.contextmanager
def until_ctrl_c():
    """Yield a function that tells whether Ctrl-C has been pressed once; a second one interrupts at once."""
    pressed = []

    def press(*_):
        pressed.append(1)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def images_of(camera, number):
    """Yield (seconds since the first, image uint8 (H, W, 3) BGR) of a cv2.VideoCapture, as long as it gives any.

    Raises:
        InputError: it gives none.
    """
    start = None
    while (frame := camera.read())[0]:
        now = time.monotonic()
        start = now if start is None else start
        yield now - start, frame[1]
    if start is None:
        raise InputError(f'camera {number}: gives no images')


def run_camera(args, number, stack):
    """Run ``predict`` on a camera; returns the exit code.

    Args:
        args: its options.
        number: the camera's.
        stack: ``contextlib.ExitStack`` of what is open.
    """
    from mfdet.runtime.video import open_camera, video_writer

    paths = check_recording(args.out, args.show, args.track)
    window = open_shown(args, stack)
    model, score_thr = load_model(args)
    camera, rate = open_camera(number)
    stack.callback(camera.release)
    rate = args.fps or rate or USUAL_RATE
    follow = Follower(f'camera {number}', rate, score_thr, args.track_buffer) if args.track else None
    with contextlib.ExitStack() as recording:
        write = recording.enter_context(video_writer(paths[0], rate)) if paths else None
        images, detections, seconds, ended = predict_camera(
            model, camera, number, rate, score_thr, follow, window, write
        )
    if paths and follow:
        follow.tracks.write(*paths[1:])
    speed = f', {(images - 1) / seconds:.1f} images/s' if seconds else ''
    objects = f', {follow.count} tracks' if follow else ''
    print(f'{images} images, {detections} detections{objects}{speed}' + (f'; {paths[0]}' if paths else ''))
    if not ended:
        print(f'error: camera {number}: gives no more images', file=sys.stderr)
    return 0 if ended else 1


def predict_camera(model, camera, number, rate, score_thr, follow=None, window=None, write=None):
    """Detect objects in what a camera sees until Ctrl-C, or the window's end, or that of the camera.

    The recording has ``rate`` frames per second whatever the detector's speed: images are repeated, or left out. What
    writing takes does not count, or one that is slower than the camera would have ever more to write.

    Args:
        model: a detector.
        camera: cv2.VideoCapture.
        number: the camera's.
        rate: frames per second of the recording.
        score_thr: least score to show.
        follow: a :class:`mfdet.commands._follow.Follower`, or None.
        window: a :class:`mfdet.runtime.window.Window`, or None.
        write: function that takes a picture, or None.

    Returns:
        The number of images, and of detections in them, the seconds, and whether the user ended it.
    """
    images = detections = written = 0
    seconds = writing = 0.0
    with until_ctrl_c() as stopped:
        for seconds, image in images_of(camera, number):
            found = model(image, score_thr=follow.least_score if follow else score_thr)
            if follow:
                found = follow.update(found, seconds)
            picture = found.draw(image)
            start = time.monotonic()
            for _ in itertools.repeat(None, int((seconds - writing) * rate) + 1 - written if write else 0):
                write(picture)
                written += 1
                if follow:
                    follow.tracks.add(found)
            writing += time.monotonic() - start
            if window:
                window.show(picture)
            images += 1
            detections += len(found)
            if stopped() or (window and window.closed):
                return images, detections, seconds, True
    return images, detections, seconds, False
