"""Images from files, arrays and Pillow, all as uint8 (H, W, 3) BGR."""

import os
import sys

import cv2
import numpy as np

from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES, images_below, matches_of

FORMATS = 'JPEG, PNG, BMP, TIFF and WebP are'
REDUCTIONS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def find_images(name):
    """Return the paths of the image files that a name stands for.

    Args:
        name: a file, a folder, searched with all that is below it, or a glob.

    Raises:
        InputError: there are none.
    """
    files = []
    for match in matches_of(name):
        files += images_below(match) if os.path.isdir(match) else [match]
    if not files:
        raise InputError(f'{name}: no such image file, nor a folder that holds some ({", ".join(IMAGE_SUFFIXES)})')
    return files


def read_image(path, reduction=1):
    """Read an image file as uint8 (H, W, 3) BGR, as the training pipeline does.

    The image is turned upright if it carries an EXIF orientation. Grey and palette images are expanded, alpha is
    dropped, 16-bit values are scaled to 8 bits.

    Args:
        path: the file.
        reduction: 2, 4 or 8 gives both sides divided by it, rounded up, for JPEG files, which have 8 bits.

    Raises:
        InputError: the file is missing, empty, damaged or no image of 8 or 16 bits.
    """
    if not os.path.isfile(path):
        raise InputError(f'{path}: no such image file')
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread cannot open every path with non-ASCII letters
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    if not data.size:
        raise InputError(f'{path}: is an empty file, not an image')
    if reduction > 1:
        return _decode(data, REDUCTIONS[reduction], path)
    # At the file's own depth first: OpenCV turns float pixels into 8 bits without a word, and wrongly.
    image = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, path)
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f'{path}: has {image.dtype} pixels, must have 8 or 16 bits without sign')
    return image if image.dtype == np.uint8 else _decode(data, cv2.IMREAD_COLOR, path)


def to_bgr(array, name='image'):
    """Return an image in memory as uint8 (H, W, 3) BGR.

    Args:
        array: uint8 or uint16, (H, W, 3) BGR, (H, W, 4) BGRA, (H, W) or (H, W, 1) grey. Alpha is dropped, 16-bit
            values are scaled to 8 bits. An array that is right already is returned as it is.
        name: how error messages call the image.

    Raises:
        InputError: the array is anything else.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(f'{name}: must be a NumPy array, not {type(array).__name__}')
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(f'{name}: has dtype {array.dtype}, must be uint8 (0 to 255) or uint16 (0 to 65535)')
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise InputError(
            f'{name}: has shape {array.shape}, must be one image: (H, W, 3) BGR, (H, W, 4) BGRA or (H, W) grey'
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)  # as OpenCV does it when it reads 16-bit files
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    return array[:, :, :3] if array.shape[2] == 4 else array


def is_pil(image):
    """Tell whether it is an image of Pillow, without importing that: an image of it cannot be there before."""
    pillow = sys.modules.get('PIL.Image')
    return pillow is not None and isinstance(image, pillow.Image)


def from_pil(image, name='image'):
    """Return an image of Pillow as uint8 (H, W, 3) BGR; it is left as it is.

    As of a file, it is turned upright if it carries an EXIF orientation, grey and palette images are expanded, alpha is
    dropped and 16-bit values are scaled to 8 bits.

    Args:
        image: ``PIL.Image.Image`` of any mode of 8 or 16 bits.
        name: how error messages call it.

    Raises:
        InputError: it has no pixels, pixels of 32 bits, or its file is damaged.
    """
    from PIL import ImageOps

    if image.mode in ('I', 'F'):
        raise InputError(f'{name}: has mode {image.mode}, 32 bits a pixel, must have 8 or 16 bits without sign')
    try:
        image = ImageOps.exif_transpose(image)
        deep = image.mode.startswith('I;16')
        array = np.asarray(image).astype(np.uint16) if deep else np.asarray(image.convert('RGB'))[:, :, ::-1]
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        raise InputError(f'{name}: is damaged, or Pillow cannot make it RGB ({error})') from error
    return to_bgr(np.ascontiguousarray(array), name)


def _decode(data, flags, path):
    """Decode the bytes of an image file, uint8 (N,)."""
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error:  # for example more pixels than OpenCV allows
        image = None
    if image is None:
        raise InputError(f'{path}: is damaged or not an image that OpenCV can read; {FORMATS}')
    return image
