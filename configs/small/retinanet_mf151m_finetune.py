# Mobile-Former-151M in a small RetinaNet at 320 px, from a trained detector of the same make, whatever its classes:
#   python tools/train.py configs/small/retinanet_mf151m_finetune.py --load-from CKPT --data-root cells \
#       --train-ann train.json --train-images images --val-ann val.json --val-images images
_base_ = [
    '../_base_/models/retinanet_mf151m_small.py',
    '../_base_/datasets/small_detection.py',
    '../_base_/schedules/finetune.py',
    '../_base_/runtime/averaged.py',
]
