# RetinaNet with a narrow neck and head (96 channels, 2 convolutions), for small images and for CPUs. Not of the paper.
_base_ = ['retinanet_mf.py']
model = dict(
    neck=dict(out_channels=96),
    bbox_head=dict(in_channels=96, feat_channels=96, stacked_convs=2),
)
