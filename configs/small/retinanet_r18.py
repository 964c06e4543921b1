# ResNet-18 of mmdet in the same RetinaNet, data and schedule as retinanet_mf151m.py, to compare with.
_base_ = ['retinanet_mf151m.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        num_stages=4,
        out_indices=(1, 2, 3),
        norm_eval=False,
        norm_cfg=dict(type='BN', requires_grad=True),
        style='pytorch',
    ),
    neck=dict(in_channels=[128, 256, 512]),
)
