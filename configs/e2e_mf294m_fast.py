# The paper's end-to-end detector with Mobile-Former-294M in 50 epochs on COCO, with scores that tell the quality of
# the box and averaged weights. Not of the paper and not yet trained on COCO by anyone: no AP is known.
#   python tools/train.py configs/e2e_mf294m_fast.py --backbone-weights mobile-former-294m.pth.tar
_base_ = [
    '_base_/models/e2e_mf_quality.py',
    '_base_/datasets/coco_detection_e2e.py',
    '_base_/schedules/e2e_50e.py',
    '_base_/runtime/averaged.py',
]
model = dict(
    backbone=dict(arch='294m'),
    bbox_head=dict(in_channels=[48, 128, 192], channels=[416, 112, 40], expand_ratio=4),
)
