"""Videos and cameras as streams of images, read and written by OpenCV."""

import os
from contextlib import ExitStack, contextmanager, suppress

import cv2

from mfdet.errors import InputError
from mfdet.files import replacing

CODECS = {'.mp4': 'mp4v', '.webm': 'VP80'}  # browsers play the second alone


def open_video(path):
    """Open a video.

    Returns:
        The cv2.VideoCapture, its frames per second, and how many frames it says it has, 0 if it does not say.

    Raises:
        InputError: it is no video that OpenCV can read.
    """
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # what is wrong with a file, we say ourselves
    video = cv2.VideoCapture(os.fsencode(path))  # OpenCV crashes at names that are no UTF-8
    if not video.isOpened():
        raise InputError(f'{path}: is damaged or not a video that OpenCV can read')
    return video, video.get(cv2.CAP_PROP_FPS), max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))


def open_camera(number):
    """Open a camera.

    Returns:
        The cv2.VideoCapture, and the frames per second that it says it gives, 0 if it does not say.

    Raises:
        InputError: there is none of this number, or another program has it.
    """
    with suppress(AttributeError):  # OpenCV would list what it tried; older ones have no such function
        cv2.setLogLevel(0)
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise InputError(f'camera {number}: there is none of this number, or another program is using it')
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame counts, not those that came meanwhile
    return camera, max(0.0, camera.get(cv2.CAP_PROP_FPS))


def frames_of(video, path, expected, report):
    """Yield the images of a video, uint8 (H, W, 3) BGR; ``report`` takes a sentence on one that ends early.

    Args:
        video, expected: of :func:`open_video`.
        path: the file, for the sentence.
        report: function of a sentence.
    """
    number = 0
    while (frame := video.read())[0]:
        yield frame[1]
        number += 1
    if number < 0.9 * expected:  # some formats only estimate how many there are
        report(f'{path}: can be read up to frame {number} of about {expected} only, it may be damaged')


@contextmanager
def video_writer(path, rate):
    """Yield a function that appends an image uint8 (H, W, 3) BGR; the video stands at ``path`` once all went well.

    Args:
        path: ``.mp4`` (MPEG-4) or ``.webm`` (VP8).
        rate: frames per second.

    Raises:
        InputError: OpenCV cannot write such a video, or the disk is full.
    """
    codec = cv2.VideoWriter_fourcc(*CODECS[os.path.splitext(path)[1]])
    writer, part, frames = cv2.VideoWriter(), None, 0
    with ExitStack() as stack:

        def write(image):
            nonlocal part, frames
            if part is None:
                height, width = image.shape[:2]
                part = stack.enter_context(replacing(path))
                stack.callback(writer.release)
                writer.open(os.fsencode(part), codec, rate, (width, height))
                if not writer.isOpened():
                    raise InputError(
                        f'{path}: OpenCV cannot write a video of {width}×{height} pixels, {rate:g} frames/s'
                    )
            writer.write(image)
            frames += 1

        yield write
        writer.release()
        # OpenCV does not say that a disk is full.
        if part and (there := int(cv2.VideoCapture(os.fsencode(part)).get(cv2.CAP_PROP_FRAME_COUNT))) < frames:
            raise InputError(f'{path}: {there} of {frames} frames could be written; is the disk full?')
