# RetinaNet with a narrow neck and head (96 channels, 2 convolutions), for small images and for CPUs. Not of the paper.
# Normalisation in neck and head is what training from scratch needs; GIoU loss takes box scales evenly.
_base_ = ['retinanet_mf.py']
model = dict(
    neck=dict(out_channels=96, norm_cfg=dict(type='BN')),
    bbox_head=dict(
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=16),
        reg_decoded_bbox=True,
        loss_bbox=dict(_delete_=True, type='GIoULoss', loss_weight=2.0),
    ),
)
