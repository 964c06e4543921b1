# RetinaNet with Mobile-Former-214M, 1× on COCO (Table 8 of the paper).
# Start from ImageNet weights with --backbone-weights mobile-former-214m.pth.tar.
_base_ = [
    '_base_/models/retinanet_mf.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime/default.py',
]
model = dict(backbone=dict(arch='214m'), neck=dict(in_channels=[40, 112, 160]))
