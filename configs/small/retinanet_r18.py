# ResNet-18 of mmdet in the same RetinaNet, data and schedule as retinanet_mf151m.py, to compare with: AP 0.53 on the
# blood cells after 30 epochs, 0.57 with anchors from 16 pixels, in 1.2 times the time of a step.
#   python tools/train.py configs/small/retinanet_r18.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
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
