# Mobile-Former-26M in a small RetinaNet, data and schedule as e2e_mf26m.py, to compare with.
_base_ = [
    '../_base_/models/retinanet_mf_small.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
model = dict(
    data_preprocessor=dict(pad_size_divisor=192),  # as in training: RetinaNet does not mask padding
    backbone=dict(arch='26m'),
    neck=dict(in_channels=[24, 64, 96]),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=2)),  # platelets and the like: anchors from 16 px
)
