# Mobile-Former-151M in a small RetinaNet at 320 px, from scratch, for a few hundred images of one's own.
_base_ = [
    '../_base_/models/retinanet_mf151m_small.py',
    '../_base_/datasets/small_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
