"""Pictures of detections beside the ground truth while testing."""

import os

import cv2
from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook

from mfdet.errors import InputError
from mfdet.files import write_file
from mfdet.visualization import beside, contact_sheet, draw_boxes


def picture_names(paths):
    """Return names for pictures of images: where the images stand below their common folder, with ``_`` for ``/``.

    Args:
        paths: image id to the path of the image.

    Returns:
        dict of image id to a name that ends in ``.jpg``; all begin with the id if two would be the same.
    """
    paths = {i: os.path.abspath(path) for i, path in paths.items()}
    folder = os.path.commonpath([os.path.dirname(path) for path in paths.values()])
    names = {i: os.path.splitext(os.path.relpath(path, folder))[0].replace(os.sep, '_') for i, path in paths.items()}
    if len(set(names.values())) < len(names):
        names = {i: f'{i}_{name}' for i, name in names.items()}
    return {i: f'{name}.jpg' for i, name in names.items()}


def image_reader(dataset):
    """Return a function from an image id of a data set to the image, uint8 (H, W, 3) BGR.

    It raises InputError for an id that the data set does not have.
    """
    index = {dataset.get_data_info(i)['img_id']: i for i in range(len(dataset))}

    def read(image_id):
        if image_id not in index:
            raise InputError(f'image {image_id!r} is not among those tested')
        return dataset.pipeline.transforms[0](dataset.get_data_info(index[image_id]))['img']

    return read


@HOOKS.register_module()
class DrawDetectionsHook(Hook):
    """Draw each tested image, ground truth left and detections right, as ``<out_dir>/<image name>.jpg``.

    The first pictures also go onto one sheet, ``<out_dir>/overview.png``.

    Args:
        out_dir: the folder; it is created.
        score_thr: least score of a detection to be drawn.
        sheet_images: number of pictures on the sheet.
    """

    def __init__(self, out_dir, score_thr=0.3, sheet_images=8):
        self.out_dir = out_dir
        self.score_thr = score_thr
        self.sheet_images = sheet_images

    def before_test(self, runner):
        """Find out where each image stands in the data set."""
        os.makedirs(self.out_dir, exist_ok=True)
        dataset = runner.test_dataloader.dataset
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        self._index = {info['img_id']: i for i, info in enumerate(infos)}
        self._names = picture_names({info['img_id']: info['img_path'] for info in infos})
        self._sheet = []

    def draw(self, dataset, sample):
        """Return the picture of one image, uint8 (H, W, 3) BGR."""
        info = dataset.get_data_info(self._index[sample.img_id])
        image = dataset.pipeline.transforms[0](info)['img']
        classes = dataset.metainfo['classes']
        truth = [instance for instance in info['instances'] if not instance['ignore_flag']]
        left = draw_boxes(image, [t['bbox'] for t in truth], [t['bbox_label'] for t in truth], classes)
        found = sample.pred_instances
        found = found[found.scores >= self.score_thr].cpu().numpy()
        right = draw_boxes(image, found.bboxes, found.labels, classes, found.scores)
        return beside(left, right)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Draw the images of a batch."""
        dataset = runner.test_dataloader.dataset
        for sample in outputs:
            picture = self.draw(dataset, sample)
            path = os.path.join(self.out_dir, self._names[sample.img_id])
            encoded, data = cv2.imencode('.jpg', picture)  # cv2.imwrite says nothing of a full disk
            if encoded:
                write_file(path, data)
            else:
                runner.logger.warning(f'{path}: OpenCV cannot write this picture')
            if len(self._sheet) < self.sheet_images:
                self._sheet.append(picture)

    @master_only
    def after_test(self, runner):
        """Write the sheet; of several processes, that of the first."""
        if self._sheet:
            path = os.path.join(self.out_dir, 'overview.png')
            write_file(path, cv2.imencode('.png', contact_sheet(self._sheet, columns=2))[1])
            runner.logger.info(f'Pictures are in {self.out_dir}; {path} shows the first {len(self._sheet)}')
