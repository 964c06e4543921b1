"""What the test pipeline of mmdet does to an image (resize, normalise, pad), in NumPy and OpenCV."""

import math

import cv2
import numpy as np

from mfdet.errors import InputError
from mfdet.values import is_count, rounded_up

MAX_FLOAT32 = float(np.finfo(np.float32).max)
MAX_SIDE = 8192  # pixels; the most that the exporter lets a graph take


def check_preprocessing(metadata):
    """Check the entries of a model's metadata that say how images are prepared.

    Raises:
        InputError: an entry is missing or wrong.
    """
    divisor = metadata.get('pad_divisor')
    if not is_count(divisor, MAX_SIDE):
        raise InputError(f"'pad_divisor' must be a whole number from 1 to {MAX_SIDE}, not {divisor!r}")
    if not isinstance(metadata.get('normalized'), bool):
        raise InputError(f"'normalized' must be true or false, not {metadata.get('normalized')!r}")
    if 'resize' not in metadata:
        raise InputError("'resize' is missing; null means that images keep their size")
    fixed = metadata.get('fixed_size')
    sides = fixed if isinstance(fixed, list) and len(fixed) == 2 else [None]
    if fixed is not None and not all(is_count(side, MAX_SIDE) for side in sides):
        raise InputError(
            f"'fixed_size' must be a height and a width, whole numbers from 1 to {MAX_SIDE}, not {fixed!r}"
        )
    resized_shape(1, 1, metadata['resize'], fixed)
    if not metadata['normalized']:
        return
    if metadata.get('channel_order') not in ('rgb', 'bgr'):
        raise InputError(f"'channel_order' must be 'rgb' or 'bgr', not {metadata.get('channel_order')!r}")
    for field in ('mean', 'std'):
        values = metadata.get(field)
        if not (isinstance(values, list) and len(values) == 3 and all(map(_is_number, values))):
            raise InputError(f"'{field}' must be a list of three finite numbers, not {values!r}")
    if not all(np.float32(metadata['std']) > 0):
        raise InputError(f"'std' must be above 0, got {metadata['std']!r}")


def resized_shape(height, width, resize, fixed_size=None):
    """Return the (height, width) that an image is resized to, as by mmdet's ``Resize(keep_ratio=True)``.

    Args:
        height, width: of the image, in pixels.
        resize: the metadata's ``resize``, a dict of ``scale`` and ``keep_ratio``, or None to keep the size. The long
            side becomes at most the greater number of the scale, the short side at most the smaller.
        fixed_size: the metadata's ``fixed_size``, the (height, width) that the model takes alone; an image that would
            be larger is made to fit.

    Returns:
        Height and width in pixels, at least 1.

    Raises:
        InputError: ``resize`` is no such dict, does not keep the ratio of the sides, or makes an image too large.
    """
    fit = min(fixed_size[0] / height, fixed_size[1] / width) if fixed_size else math.inf
    if resize is None:
        factor = min(1, fit)
        return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))
    if not isinstance(resize, dict) or resize.get('keep_ratio') is not True:
        raise InputError(f'\'resize\' must keep the ratio of the sides ("keep_ratio": true), got {resize!r}')
    scale = resize.get('scale')
    if not (isinstance(scale, list | tuple) and len(scale) == 2 and all(is_count(side, 10**6) for side in scale)):
        raise InputError(f"'scale' of 'resize' must be two whole numbers from 1 to 1000000, not {scale!r}")
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width), fit)
    # mmdet would make the short side of a very long image 0 pixels, and fail.
    new_height, new_width = max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))
    if new_height * new_width > MAX_SIDE**2:
        raise InputError(
            f"'scale' of 'resize' is {scale!r}, which would make {new_height}×{new_width} pixels of an image of "
            f'{height}×{width}; {MAX_SIDE}×{MAX_SIDE} are the most'
        )
    return new_height, new_width


def prepare(image, metadata):
    """Resize one image, and normalise it unless the model does so itself.

    Args:
        image: uint8 (H, W, 3) BGR.
        metadata: the model's metadata, see :func:`check_preprocessing`.

    Returns:
        float32 (3, h, w) and the scale factors (w / W, h / H).
    """
    height, width = image.shape[:2]
    new_height, new_width = resized_shape(height, width, metadata['resize'], metadata.get('fixed_size'))
    pixels = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    if metadata['normalized']:
        if metadata['channel_order'] == 'rgb':
            pixels = pixels[:, :, ::-1]
        # Subtract and divide in float32, in mmdet's order, so that results are the same to the last bit.
        pixels = (pixels - np.float32(metadata['mean'])) / np.float32(metadata['std'])
    return pixels.transpose(2, 0, 1), (new_width / width, new_height / height)


def collate(images, metadata):
    """Prepare images and pad them with 0, at the right and at the bottom, to one batch.

    Args:
        images: at least one uint8 (H, W, 3) BGR image; sizes may differ.
        metadata: the model's metadata, see :func:`check_preprocessing`.

    Returns:
        images float32 (B, 3, H, W), of the metadata's ``fixed_size`` or with H and W multiples of ``pad_divisor``;
        sizes int64 (B, 2), height and width of each image before padding; scale factors float64 (B, 2) of width and
        height.
    """
    arrays, factors = zip(*(prepare(image, metadata) for image in images), strict=True)
    sizes = np.array([array.shape[1:] for array in arrays], np.int64)
    divisor = metadata['pad_divisor']
    height, width = metadata.get('fixed_size') or rounded_up(sizes.max(axis=0), divisor)
    batch = np.zeros((len(arrays), 3, height, width), np.float32)
    for slot, array in zip(batch, arrays, strict=True):
        slot[:, : array.shape[1], : array.shape[2]] = array
    return batch, sizes, np.array(factors)


def _is_number(value):
    """Tell whether a value is a number that is finite in float32, in which images are normalised."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -MAX_FLOAT32 <= value <= MAX_FLOAT32
