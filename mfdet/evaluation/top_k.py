"""Top-k accuracy, the metric of ImageNet."""

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mfdet.errors import InputError
from mfdet.values import is_count


def rank_of(label, scores):
    """Return how many classes come before class ``label`` by scores (K,): greater, or equal and of less label."""
    own = scores[label]
    return int((scores > own).sum() + (scores[:label] == own).sum())


def format_worst(labels, predicted, classes, count):
    """Return a table of the classes with the least top-1 accuracy, with what they are taken for most often.

    Args:
        labels: true classes, int (N,).
        predicted: classes of the best score, int (N,).
        classes: names.
        count: number of classes to list.
    """
    rows = []
    for label in np.unique(labels):
        found = predicted[labels == label]
        wrong = found[found != label]
        most = classes[np.bincount(wrong).argmax()] if len(wrong) else '-'
        rows.append((100 * (found == label).mean(), classes[label], len(found), most))
    rows.sort(key=lambda row: row[0])
    width = max(len('class'), *(len(row[1]) for row in rows[:count]))
    lines = [f'{"class":<{width}}{"images":>9}{"top-1 %":>9}  most often taken for']
    lines += [f'{name:<{width}}{images:>9}{share:>9.2f}  {most}' for share, name, images, most in rows[:count]]
    return '\n'.join(lines)


@METRICS.register_module()
class TopKAccuracy(BaseMetric):
    """Share of images whose class is among the k best, in percent: ``accuracy/top1``, ``accuracy/top5``.

    Of equal scores the class of the smaller label comes first. With k classes or fewer, top-k is 100.

    Args:
        topk: each k.
        worst_classes: log a table of so many classes with the least top-1 accuracy; 0 logs none.
        collect_device: of mmengine's BaseMetric.
        prefix: of mmengine's BaseMetric.

    Raises:
        InputError: an argument is out of its range, or scores are not finite.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk=(1, 5), worst_classes=0, collect_device='cpu', prefix=None):
        if not topk or not all(map(is_count, topk)):
            raise InputError(f'TopKAccuracy: topk must be whole numbers from 1 up, got {topk!r}')
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk = topk
        self.worst_classes = worst_classes

    def process(self, data_batch, data_samples):
        """Note label, class of the best score and rank of the label for dicts with ``gt_label`` and ``pred_scores``."""
        for sample in data_samples:
            scores = np.asarray(sample['pred_scores'])
            if not np.isfinite(scores).all():
                raise InputError(
                    f'{sample["img_path"]}: its scores are not finite; take a checkpoint from before its training '
                    'diverged'
                )
            self.results.append((sample['gt_label'], int(scores.argmax()), rank_of(sample['gt_label'], scores)))

    def compute_metrics(self, results):
        """Compute the accuracies from what :meth:`process` noted.

        Returns:
            dict of ``'top<k>'`` to percent.
        """
        logger = MMLogger.get_current_instance()
        labels, predicted, ranks = np.array(results).T
        metrics = {f'top{k}': float(100 * (ranks < k).mean()) for k in self.topk}
        if self.worst_classes:
            worst = format_worst(labels, predicted, self.dataset_meta['classes'], self.worst_classes)
            logger.info(f'The classes with the least top-1 accuracy:\n{worst}')
        shares = ', '.join(f'{name.replace("top", "top-")} {value:.2f} %' for name, value in metrics.items())
        logger.info(f'{shares} of {len(ranks)} images')
        return metrics
