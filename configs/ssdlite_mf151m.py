# SSDLite with Mobile-Former-151M at 320 px on COCO, to compare with ssdlite_mobilevit_*.py. Not of a paper, not trained
# here: no AP is known. Start from the released ImageNet weights:
#   torchrun --nproc-per-node 4 tools/train.py configs/ssdlite_mf151m.py --sync-bn --amp \
#       --backbone-weights mobile-former-151m.pth.tar
_base_ = [
    '_base_/models/ssdlite.py',
    '_base_/datasets/coco_ssd.py',
    '_base_/schedules/ssd_200e.py',
    '_base_/runtime/averaged.py',
]
