# End-to-end detector with Mobile-Former-508M, 300 epochs on COCO: AP 43.1 in the paper (Table 9). Not trained here.
# Head widths are fitted to the table's parameters and MAdds, see docs/model.md. It starts from the authors' ImageNet
# weights:
#   torchrun --nproc-per-node 8 tools/train.py configs/e2e_mf508m.py --data-root coco \
#       --backbone-weights mobile-former-508m.pth.tar
_base_ = [
    '_base_/models/e2e_mf.py',
    '_base_/datasets/coco_detection_e2e.py',
    '_base_/schedules/e2e_300e.py',
    '_base_/runtime/default.py',
]
model = dict(
    backbone=dict(arch='508m'),
    bbox_head=dict(in_channels=[72, 176, 240], channels=[272, 272, 72], expand_ratio=6),
)
