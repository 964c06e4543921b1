# SSDLite with MobileViT-XS at 320 px on COCO: AP 24.8, 2.7 M parameters in the paper (its
# table of SSDLite backbones); not trained here. Apple's ImageNet weights as transformers stores them
# (model.safetensors of apple/mobilevit-x-small):
#   torchrun --nproc-per-node 4 tools/train.py configs/ssdlite_mobilevit_xs.py --sync-bn --amp \
#       --backbone-weights mobilevit-x-small.safetensors
_base_ = [
    '_base_/models/ssdlite_mobilevit.py',
    '_base_/datasets/coco_ssd.py',
    '_base_/schedules/ssd_200e.py',
    '_base_/runtime/averaged.py',
]
model = dict(backbone=dict(arch='xs'), neck=dict(in_channels=[80, 96]))
