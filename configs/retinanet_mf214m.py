# RetinaNet with Mobile-Former-214M, 1× on COCO: AP 35.8 in the paper (Table 8). Not trained here; it starts from the
# authors' ImageNet weights:
#   torchrun --nproc-per-node 8 tools/train.py configs/retinanet_mf214m.py --data-root coco \
#       --backbone-weights mobile-former-214m.pth.tar
_base_ = [
    '_base_/models/retinanet_mf.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime/default.py',
]
model = dict(backbone=dict(arch='214m'), neck=dict(in_channels=[40, 112, 160]))
