# Mobile-Former-26M in the small RetinaNet, for images of 192 px.
_base_ = ['retinanet_mf_small.py']
model = dict(
    data_preprocessor=dict(pad_size_divisor=192),  # as in training: RetinaNet does not mask padding
    backbone=dict(arch='26m'),
    neck=dict(in_channels=[24, 64, 96]),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=2)),  # platelets and the like: anchors from 16 px
)
