# SSDLite with MobileViT-XXS at 320 px on COCO: AP 19.9, 1.8 M parameters in the authors'
# repository (apple/ml-cvnets); not trained here. Apple's ImageNet weights as transformers stores them
# (model.safetensors of apple/mobilevit-xx-small):
#   torchrun --nproc-per-node 4 tools/train.py configs/ssdlite_mobilevit_xxs.py --sync-bn --amp \
#       --backbone-weights mobilevit-xx-small.safetensors
_base_ = [
    '_base_/models/ssdlite_mobilevit.py',
    '_base_/datasets/coco_ssd.py',
    '_base_/schedules/ssd_200e.py',
    '_base_/runtime/averaged.py',
]
model = dict(backbone=dict(arch='xxs'), neck=dict(in_channels=[64, 80]))
