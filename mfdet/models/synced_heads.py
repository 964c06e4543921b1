"""Anchor heads of mmdet, for several processes that train as one."""

from mmdet.models.dense_heads import RetinaHead, SSDHead
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean


class SyncedTargets:
    """Mixin of an anchor head: losses are divided by the positive anchors of all processes.

    mmdet's heads divide by those of each process and then average, so that an anchor counts for more in a process that
    has few; the same images in one process give another loss. In one process the two are the same.
    """

    def get_targets(self, anchor_list, *args, **kwargs):
        """Return the targets as mmdet's does, with the mean over the processes as the factor to divide by."""
        targets = list(super().get_targets(anchor_list, *args, **kwargs))
        targets[4] = reduce_mean(anchor_list[0][0].new_tensor(float(targets[4])))
        return tuple(targets)


@MODELS.register_module()
class SyncedRetinaHead(SyncedTargets, RetinaHead):
    """mmdet's ``RetinaHead``, see :class:`SyncedTargets`."""


@MODELS.register_module()
class SyncedSSDHead(SyncedTargets, SSDHead):
    """mmdet's ``SSDHead``, see :class:`SyncedTargets`."""

    loss_cls = None  # mmdet's prediction asks each head for it, and SSD's has none
