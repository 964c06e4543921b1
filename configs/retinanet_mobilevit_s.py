# RetinaNet with MobileViT-S, 1× on COCO, to compare with retinanet_mf*.py.
# Not of a paper, not trained here: no AP is known. Apple's ImageNet weights as transformers stores them
# (model.safetensors of apple/mobilevit-small):
#   python tools/train.py configs/retinanet_mobilevit_s.py --backbone-weights mobilevit-small.safetensors
_base_ = [
    '_base_/models/retinanet_mobilevit.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime/default.py',
]
