"""The generated shapes as an mmdet data set, for checks and demonstrations without any download."""

from mmcv.transforms import BaseTransform
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS, TRANSFORMS

from mfdet.data.sampling import SeededItems
from mfdet.data.shapes import CLASSES, DIAMETERS, generate, layout
from mfdet.errors import InputError


@DATASETS.register_module()
class ShapesDataset(SeededItems, BaseDetDataset):
    """Generated shapes (:mod:`mfdet.data.shapes`) with ground truth; :class:`GenerateShapes` makes the images.

    Annotations are made once, when the data set is loaded. ``img_path`` is a mere name, and image ids count from 1 as
    in :func:`mfdet.data.shapes.to_coco`, which describes the same images for the same length, seed and size.

    Args:
        length (int): Number of images, at least 1.
        seed (int): Number of the data set; give training and validation different ones.
        image_size (tuple[int, int]): ``(height, width)`` in pixels.
        max_objects (int): Most objects in an image.
        diameters (tuple[float, float]): Least and greatest diameter of a shape as a share of the short side.
        clutter (float): Difficulty, see :func:`mfdet.data.shapes.generate`.
        filter_cfg (dict, optional): ``filter_empty_gt=True`` leaves out images without objects, except in test mode.
        kwargs: Those of :class:`mmdet.datasets.BaseDetDataset` that need no file.

    Raises:
        InputError: ``length``, ``seed``, ``image_size``, ``filter_cfg`` or the classes in ``metainfo`` are not usable.
    """

    METAINFO = {
        'classes': CLASSES,
        'palette': [(220, 20, 60), (0, 90, 230), (240, 180, 0), (0, 160, 60), (190, 0, 200), (0, 190, 200)],
    }

    def __init__(
        self, length, seed=0, image_size=(192, 192), max_objects=8, diameters=DIAMETERS, clutter=1.0, **kwargs
    ):
        if length < 1:
            raise InputError(f'ShapesDataset: length is {length}, but must be at least 1')
        self.length = length
        self.seed = seed
        self.options = {'seed': seed, 'size': image_size, 'max_objects': max_objects, 'diameters': diameters}
        self.clutter = clutter
        super().__init__(**kwargs)

    def load_data_list(self):
        """Lay out every image; return one dict per image in mmdet's annotation format."""
        if tuple(self.metainfo['classes']) != CLASSES:
            raise InputError(f"ShapesDataset: metainfo['classes'] is given, but must be left out or be {CLASSES}")
        data_list = []
        for index in range(self.length):
            placed = layout(index, **self.options)
            height, width = placed.owner.shape
            data_list.append(
                {
                    'img_id': index + 1,
                    'img_path': f'shapes/{self.seed}/{index}',
                    'height': height,
                    'width': width,
                    'shapes': {'index': index, 'clutter': self.clutter, **self.options},
                    'instances': [
                        {'bbox': box, 'bbox_label': label, 'ignore_flag': 0}
                        for box, label in zip(placed.boxes.tolist(), placed.labels.tolist(), strict=True)
                    ],
                }
            )
        return data_list

    def filter_data(self):
        """Apply ``filter_cfg``."""
        unknown = set(self.filter_cfg or ()) - {'filter_empty_gt'}
        if unknown:
            raise InputError(f"ShapesDataset: filter_cfg has '{min(unknown)}', but only 'filter_empty_gt' is supported")
        if self.test_mode or not (self.filter_cfg or {}).get('filter_empty_gt', False):
            return self.data_list
        return [data for data in self.data_list if data['instances']]


@TRANSFORMS.register_module()
class GenerateShapes(BaseTransform):
    """Make the image of a :class:`ShapesDataset` entry; stands where ``LoadImage`` stands otherwise.

    Required Keys: ``shapes``. Added Keys: ``img`` (uint8 (H, W, 3) BGR), ``img_shape`` and ``ori_shape`` (H, W), and
    ``scale_factor`` (1, 1), which a detector needs to scale its boxes back where no Resize follows.
    """

    def transform(self, results):
        """Add the image to ``results``; raise InputError where they are another data set's."""
        if 'shapes' not in results:
            raise InputError('GenerateShapes: the data set must be a ShapesDataset; files need LoadImage')
        image = generate(**results['shapes']).image
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        results['scale_factor'] = (1.0, 1.0)
        return results

    def __repr__(self):
        return f'{type(self).__name__}()'
