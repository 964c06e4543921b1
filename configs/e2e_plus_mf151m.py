# E2E-MF+ with Mobile-Former-151M on COCO, 50 epochs: queries from the maps, see docs/model.md. Not of the paper, and
# not yet trained on COCO by anyone: no AP is known.
#   torchrun --nproc-per-node 8 tools/train.py configs/e2e_plus_mf151m.py --data-root coco \
#       --backbone-weights mobile-former-151m.pth.tar
_base_ = [
    '_base_/models/e2e_plus_mf.py',
    '_base_/datasets/coco_detection_e2e.py',
    '_base_/schedules/e2e_50e.py',
    '_base_/runtime/default.py',
]
model = dict(
    backbone=dict(arch='151m'),
    bbox_head=dict(in_channels=[32, 88, 128], channels=[176, 128, 40], expand_ratio=4),
)
