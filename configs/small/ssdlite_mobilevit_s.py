# SSDLite with MobileViT-S at 320 px, from scratch, for a few hundred images of one's own.
# Not trained here: no AP is known.
#   python tools/train.py configs/small/ssdlite_mobilevit_s.py --data-root cells \
#       --train-ann train.json --train-images images --val-ann val.json --val-images images
_base_ = [
    '../_base_/models/ssdlite_mobilevit.py',
    '../_base_/datasets/small_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
