# E2E-MF+ on generated shapes: trains in minutes on two CPU cores.
_base_ = [
    '../_base_/models/e2e_plus_mf26m.py',
    '../_base_/datasets/shapes_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/averaged.py',
]
model = dict(bbox_head=dict(num_classes=6, num_queries=25, dense_aid=dict(num_classes=6)))
train_cfg = dict(max_epochs=16, val_interval=2)
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
auto_scale_lr = dict(base_batch_size=8)
