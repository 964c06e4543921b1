# The paper's end-to-end detector with Mobile-Former-508M in 50 epochs on COCO, with scores that tell the quality of
# the box and averaged weights. Not of the paper and not yet trained on COCO by anyone: no AP is known.
#   python tools/train.py configs/e2e_mf508m_fast.py --backbone-weights mobile-former-508m.pth.tar
_base_ = [
    '_base_/models/e2e_mf_quality.py',
    '_base_/datasets/coco_detection_e2e.py',
    '_base_/schedules/e2e_50e.py',
    '_base_/runtime/averaged.py',
]
model = dict(
    backbone=dict(arch='508m'),
    bbox_head=dict(in_channels=[72, 176, 240], channels=[272, 272, 72], expand_ratio=6),
)
