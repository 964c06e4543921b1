# Mobile-Former-26M in a small RetinaNet at 192 px, from a trained detector of the same make, whatever its classes:
#   python tools/train.py configs/cpu/retinanet_mf26m_finetune.py --load-from CKPT --data-root cells \
#       --train-ann train.json --train-images images --val-ann val.json --val-images images
_base_ = [
    '../_base_/models/retinanet_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/finetune.py',
    '../_base_/runtime/averaged.py',
]
