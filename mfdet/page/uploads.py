"""What users give to the page, checked before it is decoded."""

import os

from mfdet.errors import InputError
from mfdet.runtime.images import FORMATS, read_image
from mfdet.runtime.video import open_video

MEGABYTE = 2**20
IMAGE_BYTES = 20 * MEGABYTE
VIDEO_BYTES = 200 * MEGABYTE
IMAGE_PIXELS = 40 * 10**6
FRAME_PIXELS = 4096 * 2304
KINDS = ('JPEG', 'PNG', 'BMP', 'TIFF', 'WEBP')


def read_upload(path):
    """Read an image that a user has given.

    Returns:
        uint8 (H, W, 3) BGR, upright.

    Raises:
        InputError: it is too large or no image; the message calls it by its name alone.
    """
    from PIL import Image, UnidentifiedImageError  # gradio brings it

    name = os.path.basename(path)
    _check_bytes(path, IMAGE_BYTES, 'an image')
    try:
        with Image.open(path, formats=KINDS) as file:  # the header alone: a small file may hold any number of pixels
            width, height = file.size
    except Image.DecompressionBombError as error:
        raise InputError(f'{name}: has too many pixels, {IMAGE_PIXELS:,} are the most') from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f'{name}: is damaged or not an image; {FORMATS}') from error
    if width * height > IMAGE_PIXELS:
        raise InputError(f'{name}: has {width}×{height} pixels, {IMAGE_PIXELS:,} are the most')
    try:
        return read_image(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error


def open_upload(path):
    """Open a video that a user has given, see :func:`mfdet.runtime.video.open_video`.

    Raises:
        InputError: it is too large or no video; the message calls it by its name alone.
    """
    import cv2

    name = os.path.basename(path)
    _check_bytes(path, VIDEO_BYTES, 'a video')
    try:
        video, rate, expected = open_video(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error
    width, height = (int(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > FRAME_PIXELS:
        raise InputError(f'{name}: has frames of {width}×{height} pixels, {FRAME_PIXELS:,} are the most')
    return video, rate, expected


def _check_bytes(path, most, what):
    size = os.path.getsize(path)
    if size > most:
        name = os.path.basename(path)
        raise InputError(f'{name}: has {size / MEGABYTE:.1f} MB, {what} may have {most // MEGABYTE}')
