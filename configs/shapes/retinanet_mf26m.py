# A small RetinaNet on generated shapes: AP 0.60 after 5 epochs, a few minutes on a core (`make demo`).
#   python tools/train.py configs/shapes/retinanet_mf26m.py
_base_ = [
    '../_base_/models/retinanet_mf_small.py',
    '../_base_/datasets/shapes_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
model = dict(
    backbone=dict(arch='26m'),
    neck=dict(in_channels=[24, 64, 96], out_channels=64, num_outs=3, add_extra_convs=False),
    bbox_head=dict(
        num_classes=6,
        in_channels=64,
        feat_channels=64,
        stacked_convs=1,
        anchor_generator=dict(strides=[8, 16, 32], octave_base_scale=2, ratios=[1.0]),
    ),
)
train_cfg = dict(max_epochs=5, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(logger=dict(interval=50))
