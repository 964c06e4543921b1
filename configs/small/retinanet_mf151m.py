# Mobile-Former-151M in a small RetinaNet at 320 px, from scratch, for a few hundred images of one's own.
_base_ = [
    '../_base_/models/retinanet_mf_small.py',
    '../_base_/datasets/small_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
model = dict(
    data_preprocessor=dict(pad_size_divisor=320),  # as in training: RetinaNet does not mask padding
    backbone=dict(arch='151m'),
    neck=dict(in_channels=[32, 88, 128]),
)
