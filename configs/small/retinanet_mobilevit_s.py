# MobileViT-S in a small RetinaNet at 320 px, data and schedule as retinanet_mf151m.py, to compare with.
# Not trained here: no AP is known.
#   python tools/train.py configs/small/retinanet_mobilevit_s.py --data-root cells \
#       --train-ann train.json --train-images images --val-ann val.json --val-images images
_base_ = ['retinanet_mf151m.py']
model = dict(
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=False),  # of MobileViT
    backbone=dict(_delete_=True, type='MobileViT', arch='s', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[96, 128, 160]),
)
