# E2E-MF+ on generated shapes: AP 0.65 in 4 epochs (--epochs 4), some five minutes on a core; 16 are set.
#   python tools/train.py configs/shapes/e2e_plus_mf26m.py
_base_ = [
    '../_base_/models/e2e_plus_mf26m.py',
    '../_base_/datasets/shapes_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/averaged.py',
]
model = dict(bbox_head=dict(num_classes=6, num_queries=25))
train_cfg = dict(max_epochs=16, val_interval=2)
auto_scale_lr = dict(base_batch_size=8)
