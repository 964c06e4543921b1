# RetinaNet with Mobile-Former-508M, 1× on COCO (Table 8 of the paper).
# Start from ImageNet weights with --backbone-weights mobile-former-508m.pth.tar.
_base_ = [
    '_base_/models/retinanet_mf.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime/default.py',
]
model = dict(backbone=dict(arch='508m'), neck=dict(in_channels=[72, 176, 240]))
