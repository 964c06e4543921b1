# End-to-end detector with Mobile-Former-151M, 300 epochs on COCO: AP 37.2 in the paper (Table 9). Not trained here.
# Head widths are fitted to the table's parameters and MAdds, see docs/model.md. It starts from the authors' ImageNet
# weights:
#   torchrun --nproc-per-node 8 tools/train.py configs/e2e_mf151m.py --data-root coco \
#       --backbone-weights mobile-former-151m.pth.tar
_base_ = [
    '_base_/models/e2e_mf.py',
    '_base_/datasets/coco_detection_e2e.py',
    '_base_/schedules/e2e_300e.py',
    '_base_/runtime/default.py',
]
model = dict(
    backbone=dict(arch='151m'),
    bbox_head=dict(in_channels=[32, 88, 128], channels=[176, 128, 40], expand_ratio=4),
)
