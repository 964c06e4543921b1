"""Pictures of detections beside the ground truth while testing."""

import os

from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class DrawDetectionsHook(Hook):
    """Draw each tested image, ground truth left and detections right, into a folder.

    Args:
        out_dir: the folder; it is created.
        score_thr: least score of a detection to be drawn.
        max_images: number of images to draw; None for all.
    """

    def __init__(self, out_dir, score_thr=0.3, max_images=None):
        self.out_dir = out_dir
        self.score_thr = score_thr
        self.max_images = max_images
        self._drawn = 0

    def before_test(self, runner):
        """Find out where each image stands in the data set."""
        os.makedirs(self.out_dir, exist_ok=True)
        dataset = runner.test_dataloader.dataset
        self._index = {dataset.get_data_info(i)['img_id']: i for i in range(len(dataset))}
        runner.visualizer.dataset_meta = dataset.metainfo

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Draw the images of a batch."""
        dataset = runner.test_dataloader.dataset
        load = dataset.pipeline.transforms[0]
        for sample in outputs:
            if self.max_images is not None and self._drawn >= self.max_images:
                return
            image = load(dataset.get_data_info(self._index[sample.img_id]))['img'][..., ::-1]
            name = os.path.splitext(os.path.basename(sample.img_path))[0]
            runner.visualizer.add_datasample(
                name,
                image,
                sample,
                draw_gt='gt_instances' in sample,
                pred_score_thr=self.score_thr,
                out_file=os.path.join(self.out_dir, f'{name}.jpg'),
            )
            self._drawn += 1
