# E2E-MF+ with Mobile-Former-214M on COCO, 50 epochs: queries from the maps, see docs/model.md. Not of the paper, and
# not yet trained on COCO by anyone: no AP is known.
#   torchrun --nproc-per-node 8 tools/train.py configs/e2e_plus_mf214m.py --data-root coco \
#       --backbone-weights mobile-former-214m.pth.tar
_base_ = [
    '_base_/models/e2e_plus_mf.py',
    '_base_/datasets/coco_detection_e2e.py',
    '_base_/schedules/e2e_50e.py',
    '_base_/runtime/default.py',
]
model = dict(
    backbone=dict(arch='214m'),
    bbox_head=dict(in_channels=[40, 112, 160], channels=[320, 112, 32], expand_ratio=4),
)
