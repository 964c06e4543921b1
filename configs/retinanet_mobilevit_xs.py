# RetinaNet with MobileViT-XS, 1× on COCO, to compare with retinanet_mf*.py.
# Not of a paper, not trained here: no AP is known. Apple's ImageNet weights as transformers stores them
# (model.safetensors of apple/mobilevit-x-small):
#   python tools/train.py configs/retinanet_mobilevit_xs.py --backbone-weights mobilevit-x-small.safetensors
_base_ = [
    '_base_/models/retinanet_mobilevit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime/default.py',
]
model = dict(backbone=dict(arch='xs'), neck=dict(in_channels=[64, 80, 96]))
