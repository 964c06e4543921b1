"""RandAugment (Cubuk et al., NeurIPS 2020) on uint8 images (H, W, 3) BGR, with OpenCV.

The operations are Pillow's, those of AutoAugment (Cubuk et al., CVPR 2019, table 6) without SamplePairing, inversion
and Cutout. All grow stronger with the magnitude, from 0, which leaves the image as it is, to 10; magnitudes enter as
``strength``, a tenth of that.
"""

import math

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from mfdet.errors import InputError
from mfdet.values import is_count

MOST = 10  # the greatest magnitude
FILL = (104, 116, 124)  # the mean of ImageNet, BGR, where a shifted image leaves nothing
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def _sign():
    return 1 if np.random.random() < 0.5 else -1


def _warp(image, matrix):
    """Move each pixel p to ``matrix`` · (p, 1), 2×3, about the middle of the image."""
    height, width = image.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.array(matrix, np.float64)
    matrix[:, 2] += middle - matrix[:, :2] @ middle
    return cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=FILL
    )


def shear_x(image, strength):
    """Shear along the rows by up to 0.3."""
    return _warp(image, [[1, _sign() * 0.3 * strength, 0], [0, 1, 0]])


def shear_y(image, strength):
    """Shear along the columns by up to 0.3."""
    return _warp(image, [[1, 0, 0], [_sign() * 0.3 * strength, 1, 0]])


def translate_x(image, strength):
    """Shift along the rows by up to 0.45 of the width."""
    return _warp(image, [[1, 0, _sign() * 0.45 * strength * image.shape[1]], [0, 1, 0]])


def translate_y(image, strength):
    """Shift along the columns by up to 0.45 of the height."""
    return _warp(image, [[1, 0, 0], [0, 1, _sign() * 0.45 * strength * image.shape[0]]])


def rotate(image, strength):
    """Turn by up to 30 degrees."""
    angle = _sign() * math.radians(30 * strength)
    return _warp(image, [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]])


def identity(image, strength):
    """Leave the image as it is."""
    return image


def auto_contrast(image, strength=None):
    """Stretch each channel to 0 to 255."""
    table = np.arange(256)[:, None].repeat(3, 1)
    for channel in range(3):
        low, high = int(image[..., channel].min()), int(image[..., channel].max())
        if high > low:
            table[:, channel] = (np.arange(256) * (255 / (high - low)) - low * (255 / (high - low))).clip(0, 255)
    return cv2.LUT(image, table.astype(np.uint8)[None])


def equalize(image, strength=None):
    """Even out the histogram of each channel."""
    table = np.arange(256)[:, None].repeat(3, 1)
    for channel in range(3):
        histogram = np.bincount(image[..., channel].ravel(), minlength=256)
        used = histogram[histogram > 0]
        step = (used.sum() - used[-1]) // 255
        if len(used) > 1 and step:
            before = np.cumsum(histogram) - histogram
            table[:, channel] = ((before + step // 2) // step).clip(0, 255)
    return cv2.LUT(image, table.astype(np.uint8)[None])


def solarize(image, strength):
    """Invert the values from a threshold up, which falls from 256 to 0."""
    values = np.arange(256)
    return cv2.LUT(image, np.where(values < 256 * (1 - strength), values, 255 - values).astype(np.uint8))


def posterize(image, strength):
    """Keep the upper bits of each value, 8 down to 4."""
    cut = round(4 * strength)
    return cv2.LUT(image, (np.arange(256) >> cut << cut).astype(np.uint8))


def _away_from(image, degenerate, strength):
    """Go from 1 by up to 0.9 towards a degenerate image, or as far away from it, as Pillow's ImageEnhance does."""
    factor = 1 + _sign() * 0.9 * strength
    return blend(image, degenerate, factor)


def blend(image, degenerate, factor):
    """Return ``degenerate`` + ``factor`` · (``image`` − ``degenerate``), clipped to 0 to 255; both (H, W, 3)."""
    mixed = degenerate + np.float32(factor) * (image.astype(np.float32) - degenerate)
    return mixed.clip(0, 255).astype(np.uint8)


def _grey(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)


def color(image, strength):
    """Lessen or strengthen the saturation."""
    return _away_from(image, _grey(image), strength)


def contrast(image, strength):
    """Lessen or strengthen the contrast to the mean brightness."""
    return _away_from(image, np.floor(_grey(image).mean() + 0.5), strength)


def brightness(image, strength):
    """Darken or brighten."""
    return _away_from(image, np.float32(0), strength)


def smooth(image):
    """Return the image behind a 3×3 filter, with its border as it is, as float32."""
    smoothed = image.astype(np.float32)
    filtered = cv2.filter2D(smoothed, -1, _SMOOTH)
    smoothed[1:-1, 1:-1] = np.floor(filtered[1:-1, 1:-1] + 0.5)
    return smoothed


def sharpness(image, strength):
    """Smooth or sharpen."""
    return _away_from(image, smooth(image), strength)


OPERATIONS = (
    identity,
    auto_contrast,
    equalize,
    rotate,
    solarize,
    color,
    posterize,
    contrast,
    brightness,
    sharpness,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)


@TRANSFORMS.register_module()
class MfdetRandAugment(BaseTransform):
    """Apply a few operations, each drawn evenly from :data:`OPERATIONS` (RandAugment, section 3).

    mmdet has one that takes other operations, hence the name.

    Args:
        magnitude: M, from 0 to 10.
        magnitude_std: standard deviation of a normal distribution from which each operation's magnitude is drawn, cut
            off at 0 and 10; 0 takes M itself, as the paper does.
        num_ops: N, the number of operations.
        probability: of each drawn operation to be applied, 1 in the paper.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(self, magnitude=9, magnitude_std=0.0, num_ops=2, probability=1.0):
        if not 0 <= magnitude <= MOST or magnitude_std < 0:
            raise InputError(
                f'MfdetRandAugment: magnitude must be from 0 to {MOST} and magnitude_std from 0 up, got {magnitude!r} '
                f'and {magnitude_std!r}'
            )
        if not is_count(num_ops) or not 0 <= probability <= 1:
            raise InputError(
                f'MfdetRandAugment: num_ops must be a whole number from 1 up and probability from 0 to 1, got '
                f'{num_ops!r} and {probability!r}'
            )
        self.magnitude, self.magnitude_std = magnitude, magnitude_std
        self.num_ops, self.probability = num_ops, probability

    def transform(self, results):
        """Replace ``img``; its size stays."""
        for _ in range(self.num_ops):
            operation = OPERATIONS[np.random.randint(len(OPERATIONS))]
            if np.random.random() >= self.probability:
                continue
            magnitude = min(max(np.random.normal(self.magnitude, self.magnitude_std), 0), MOST)
            results['img'] = operation(results['img'], magnitude / MOST)
        return results
