"""RetinaNet's head, for several processes that train as one."""

from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean


@MODELS.register_module()
class SyncedRetinaHead(RetinaHead):
    """mmdet's ``RetinaHead`` whose losses are divided by the positive anchors of all processes.

    mmdet's divides by those of each process and then averages, so that an anchor counts for more in a process that has
    few; the same images in one process give another loss. In one process the two are the same.
    """

    def get_targets(self, anchor_list, *args, **kwargs):
        """Return the targets as mmdet's does, with the mean over the processes as the factor to divide by."""
        targets = list(super().get_targets(anchor_list, *args, **kwargs))
        targets[4] = reduce_mean(anchor_list[0][0].new_tensor(float(targets[4])))
        return tuple(targets)
