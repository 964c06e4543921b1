# RetinaNet with Mobile-Former-508M, 1× on COCO: AP 38.0 in the paper (Table 8). Not trained here; it starts from the
# authors' ImageNet weights:
#   torchrun --nproc-per-node 8 tools/train.py configs/retinanet_mf508m.py --data-root coco \
#       --backbone-weights mobile-former-508m.pth.tar
_base_ = [
    '_base_/models/retinanet_mf.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime/default.py',
]
model = dict(backbone=dict(arch='508m'), neck=dict(in_channels=[72, 176, 240]))
