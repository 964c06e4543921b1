# Mobile-Former-151M in the small RetinaNet, for images of 320 px.
_base_ = ['retinanet_mf_small.py']
model = dict(
    data_preprocessor=dict(pad_size_divisor=320),  # as in training: RetinaNet does not mask padding
    backbone=dict(arch='151m'),
    neck=dict(in_channels=[32, 88, 128]),
)
