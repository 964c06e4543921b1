"""Steps of the data pipeline for classification; images are uint8 (H, W, 3) BGR until they are packed."""

import math

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.structures import BaseDataElement
from PIL import Image

from mfdet.errors import InputError
from mfdet.runtime.images import REDUCTIONS, read_image
from mfdet.values import is_count


def reduction_for(path, least_side):
    """Return by how much a JPEG file can be reduced while it is decoded: 1, 2, 4 or 8; 1 for other files.

    Args:
        path: the file.
        least_side: pixels that the shorter side must still have.
    """
    try:
        with Image.open(path) as file:  # reads the header alone
            side = min(file.size) if file.format == 'JPEG' else 0
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 1  # whoever decodes it says what is wrong
    return max(factor for factor in REDUCTIONS if factor == 1 or side >= factor * least_side)


@TRANSFORMS.register_module()
class LoadReducedImage(BaseTransform):
    """Read an image as :class:`mfdet.data.transforms.LoadImage` does, at a half, a quarter or an eighth if it is large.

    JPEG files are reduced while they are decoded, which costs a fraction of decoding and resizing.

    Args:
        least_side: pixels that the shorter side of the reduced image must still have; smaller images stay as they are.
    """

    def __init__(self, least_side):
        if not is_count(least_side):
            raise InputError(f'LoadReducedImage: least_side must be a whole number from 1 up, got {least_side!r}')
        self.least_side = least_side

    def transform(self, results):
        """Read ``results['img_path']`` into ``img``, uint8 (H, W, 3), and its ``img_shape`` and ``ori_shape``.

        Raises:
            InputError: the file cannot be read.
        """
        path = results['img_path']
        image = read_image(path, reduction_for(path, self.least_side))
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """A random part of the image, resized to a square (Szegedy et al., CVPR 2015, section 6).

    Its area is drawn evenly from ``scale``, its width over height evenly on a logarithmic scale from ``ratio``. If none
    of ten fits into the image, the largest part of an allowed ratio in the middle of it is taken.

    Args:
        size: side of the result in pixels.
        scale: least and greatest share of the area.
        ratio: least and greatest width over height.
    """

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
        if not is_count(size):
            raise InputError(f'RandomResizedCrop: size must be a whole number from 1 up, got {size!r}')
        for name, pair, most in (('scale', scale, 1), ('ratio', ratio, math.inf)):
            if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= most:
                raise InputError(f'RandomResizedCrop: {name} must be (least, greatest), above 0, got {pair!r}')
        self.size, self.scale, self.ratio = size, scale, ratio

    def draw(self, height, width):
        """Draw top, left, height and width of a part of an image, in pixels."""
        for _ in range(10):
            area = height * width * np.random.uniform(*self.scale)
            ratio = math.exp(np.random.uniform(*map(math.log, self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return np.random.randint(height - h + 1), np.random.randint(width - w + 1), h, w
        low, high = self.ratio
        w = min(width, max(1, round(height * high)))
        h = min(height, max(1, round(width / low)))
        return (height - h) // 2, (width - w) // 2, h, w

    def transform(self, results):
        """Replace ``img`` by the part of it, uint8 (size, size, 3)."""
        top, left, height, width = self.draw(*results['img'].shape[:2])
        part = np.ascontiguousarray(results['img'][top : top + height, left : left + width])
        # Pillow's bicubic averages over all pixels where it shrinks; OpenCV's leaves some out.
        image = mmcv.imresize(part, (self.size, self.size), interpolation='bicubic', backend='pillow')
        results.update(img=image, img_shape=image.shape[:2])
        return results


@TRANSFORMS.register_module()
class MfdetRandomErasing(BaseTransform):
    """Fill a random rectangle with random pixels (Zhong et al., AAAI 2020, algorithm 1, RE-R).

    mmdet has a RandomErasing of another kind, hence the name.

    Args:
        probability: of an image to be erased.
        area: least and greatest share of the image.
        ratio: least and greatest height over width.
    """

    def __init__(self, probability=0.5, area=(0.02, 0.4), ratio=(0.3, 1 / 0.3)):
        if not 0 <= probability <= 1:
            raise InputError(f'MfdetRandomErasing: probability must be from 0 to 1, got {probability!r}')
        for name, pair, most in (('area', area, 1), ('ratio', ratio, math.inf)):
            if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= most:
                raise InputError(f'MfdetRandomErasing: {name} must be (least, greatest), above 0, got {pair!r}')
        self.probability, self.area, self.ratio = probability, area, ratio

    def draw(self, height, width):
        """Draw top, left, height and width of a rectangle that fits into an image, in pixels; None if 100 do not."""
        for _ in range(100):
            area = height * width * np.random.uniform(*self.area)
            ratio = np.random.uniform(*self.ratio)
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            top, left = np.random.randint(height), np.random.randint(width)
            if h and w and top + h <= height and left + w <= width:
                return top, left, h, w
        return None

    def transform(self, results):
        """Erase a rectangle of ``img``, in a copy of it."""
        if np.random.random() >= self.probability:
            return results
        place = self.draw(*results['img'].shape[:2])
        if place is not None:
            top, left, height, width = place
            image = results['img'].copy()
            image[top : top + height, left : left + width] = np.random.randint(
                0, 256, (height, width, 3), dtype=np.uint8
            )
            results['img'] = image
        return results


@TRANSFORMS.register_module()
class PackClassification(BaseTransform):
    """Pack ``img`` as ``inputs``, uint8 (3, H, W) BGR, and ``gt_label`` and ``img_path`` as ``data_samples``."""

    def transform(self, results):
        """Return the two."""
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        sample = BaseDataElement(metainfo=dict(img_path=results['img_path']), gt_label=results['gt_label'])
        return dict(inputs=torch.from_numpy(image), data_samples=sample)
