"""Steps of the data pipeline."""

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from mfdet.errors import InputError
from mfdet.runtime import read_image


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image as prediction does (:func:`mfdet.runtime.read_image`): turned upright, 8 bits, BGR.

    mmcv's ``LoadImageFromFile`` gives the same pixels, but ends in a traceback at a file that it cannot read.
    """

    def transform(self, results):
        """Read ``results['img_path']`` into ``img``, uint8 (H, W, 3), and its ``img_shape`` and ``ori_shape``.

        Raises:
            InputError: the file cannot be read, or its size is not that of the annotation file.
        """
        path = results['img_path']
        image = read_image(path)
        shape = image.shape[:2]
        stated = results.get('height', shape[0]), results.get('width', shape[1])
        if stated != shape:
            raise InputError(
                f'{path}: is {shape[1]}×{shape[0]} upright, the annotation file says {stated[1]}×{stated[0]}, so its '
                'boxes may be elsewhere; tools/check_dataset.py with --images lists all such images'
            )
        results.update(img=image, img_shape=shape, ori_shape=shape)
        return results
