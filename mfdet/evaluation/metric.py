"""The COCO metric that validation and testing report, computed as ``tools/evaluate.py`` does."""

import os
import tempfile

from mmdet.evaluation.metrics import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import get_local_path, load
from mmengine.logging import MMLogger

from mfdet.errors import InputError
from mfdet.evaluation import coco


@METRICS.register_module()
class MfdetCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` for boxes, with three differences.

    Label ``i`` is the category named ``classes[i]``, whatever the order of the file's categories; no detection at all
    gives 0 rather than no metric; and numbers are unrounded. They are ``bbox_mAP``, ``bbox_mAP_50``, ``bbox_mAP_75``,
    ``bbox_mAP_s``, ``bbox_mAP_m``, ``bbox_mAP_l`` under the prefix ``coco``, from 0 to 1 and -1 where undefined.

    Every image of ``ann_file`` counts: one that was not processed counts as one without detections, with a warning.

    Args:
        ann_file: COCO file with the ground truth. None takes it from the ``instances`` of the data samples, whose areas
            are those of the boxes, not of the masks.
        metric: ``'bbox'``, the only one.
        classwise: Whether to add ``<class>_precision`` for each class and to log the table of all classes.
        evaluator: ``'pycocotools'`` or ``'faster'``.
        outfile_prefix: Keep the detections as ``<outfile_prefix>.bbox.json``, and without ``ann_file`` the ground truth
            as ``<outfile_prefix>.gt.json``.
        format_only: Only write the detections; ``ann_file`` may then be an image list without ``annotations``.
        backend_args: Where ``ann_file`` lies, see mmengine.
        collect_device: See mmengine's ``BaseMetric``.
        prefix: See mmengine's ``BaseMetric``.

    Raises:
        InputError: An argument or ``ann_file`` is wrong, ``ann_file`` lacks one of the dataset's classes, or a
            detection is not finite.
    """

    def __init__(
        self,
        ann_file=None,
        metric='bbox',
        classwise=False,
        evaluator='pycocotools',
        outfile_prefix=None,
        format_only=False,
        backend_args=None,
        collect_device='cpu',
        prefix=None,
    ):
        if metric not in ('bbox', ['bbox']):
            raise InputError(f"MfdetCocoMetric: metric must be 'bbox', not {metric!r}")
        if format_only and outfile_prefix is None:
            raise InputError('MfdetCocoMetric: format_only needs outfile_prefix, which says where the file goes')
        coco.get_evaluator(evaluator)
        super().__init__(
            classwise=classwise,
            format_only=format_only,
            outfile_prefix=outfile_prefix,
            backend_args=backend_args,
            collect_device=collect_device,
            prefix=prefix,
        )
        self.evaluator = evaluator
        self.ann_file = ann_file
        if ann_file is not None:
            with get_local_path(ann_file, backend_args=backend_args) as path:
                self._coco_api = coco.load_ground_truth(path, unlabelled=format_only)

    @CocoMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta):
        """Take the classes, which mmengine hands over before the first epoch, so that a missing one is said then."""
        self._dataset_meta = dataset_meta
        classes = dataset_meta['classes']
        if self._coco_api is None:
            self.cat_ids = list(range(len(classes)))  # as gt_to_coco_json numbers them
            return
        ids = {category['name']: category_id for category_id, category in self._coco_api.cats.items()}
        for name in classes:
            if name not in ids:
                raise InputError(f"{self.ann_file}: categories lack the dataset's class {name!r}")
        self.cat_ids = [ids[name] for name in classes]

    def compute_metrics(self, results):
        """Evaluate what :meth:`process` collected, a list of (image and ground truth, detections) for each image.

        Returns:
            dict[str, float]: See the class; empty with ``format_only``.
        """
        logger = MMLogger.get_current_instance()
        images, detections = zip(*results, strict=True)
        folder, stem = os.path.split(os.path.abspath(self.outfile_prefix)) if self.outfile_prefix else (None, 'results')
        if folder:
            os.makedirs(folder, exist_ok=True)
        # Files are finished in a folder next to their place, then moved: none is ever seen half-written.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            prefix = os.path.join(temporary, stem)
            ground_truth = self._coco_api
            if ground_truth is None:
                ground_truth = coco.load_ground_truth(self.gt_to_coco_json(images, prefix), unlabelled=True)
            detections = coco.load_results(load(self.results2json(detections, prefix)['bbox']), ground_truth)
            if folder:
                for name in os.listdir(temporary):
                    os.replace(os.path.join(temporary, name), os.path.join(folder, name))
        if self.format_only:
            return {}

        unseen = len(ground_truth.imgs.keys() - {image['img_id'] for image in images})
        if unseen:
            total = len(ground_truth.imgs)
            logger.warning(
                f'{self.ann_file}: {unseen} of {total} images were not processed, their objects count as missed'
            )
        result = coco.evaluate(ground_truth, detections, self.evaluator, self.cat_ids)
        logger.info('\n' + coco.format_table(result))
        names = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75', 'bbox_mAP_s', 'bbox_mAP_m', 'bbox_mAP_l')
        metrics = dict(zip(names, result.stats.values(), strict=False))
        if self.classwise:
            logger.info('\n' + coco.format_per_class(result))
            metrics.update({f'{row["name"]}_precision': row['AP'] for row in result.per_class})
        return metrics
