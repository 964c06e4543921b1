# SSDLite with MobileViT-S at 320 px on COCO: AP 27.7, 5.7 M parameters in the paper (its
# table of SSDLite backbones); not trained here. Apple's ImageNet weights as transformers stores them
# (model.safetensors of apple/mobilevit-small):
#   torchrun --nproc-per-node 4 tools/train.py configs/ssdlite_mobilevit_s.py --sync-bn --amp \
#       --backbone-weights mobilevit-small.safetensors
_base_ = [
    '_base_/models/ssdlite_mobilevit.py',
    '_base_/datasets/coco_ssd.py',
    '_base_/schedules/ssd_200e.py',
    '_base_/runtime/averaged.py',
]
