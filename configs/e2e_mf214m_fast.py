# The paper's end-to-end detector with Mobile-Former-214M in 50 epochs on COCO, with scores that tell the quality of
# the box and averaged weights. Not of the paper and not yet trained on COCO by anyone: no AP is known.
#   python tools/train.py configs/e2e_mf214m_fast.py --backbone-weights mobile-former-214m.pth.tar
_base_ = [
    '_base_/models/e2e_mf_quality.py',
    '_base_/datasets/coco_detection_e2e.py',
    '_base_/schedules/e2e_50e.py',
    '_base_/runtime/averaged.py',
]
model = dict(
    backbone=dict(arch='214m'),
    bbox_head=dict(in_channels=[40, 112, 160], channels=[320, 112, 32], expand_ratio=4),
)
