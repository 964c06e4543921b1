# Mobile-Former-26M in a small RetinaNet at 192 px, from a trained detector of the same make, whatever its classes:
#   python tools/train.py configs/cpu/retinanet_mf26m_finetune.py --load-from CKPT --data-root cells \
#       --train-ann train.json --train-images images --val-ann val.json --val-images images
_base_ = [
    '../_base_/models/retinanet_mf_small.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/finetune.py',
    '../_base_/runtime/averaged.py',
]
model = dict(
    data_preprocessor=dict(pad_size_divisor=192),  # as in training: RetinaNet does not mask padding
    backbone=dict(arch='26m'),
    neck=dict(in_channels=[24, 64, 96]),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=2)),  # platelets and the like: anchors from 16 px
)
