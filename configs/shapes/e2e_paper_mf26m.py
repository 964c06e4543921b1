# The paper's end-to-end head on generated shapes, to compare with: AP 0.56 after 16 epochs, some twenty minutes on a
# core.
#   python tools/train.py configs/shapes/e2e_paper_mf26m.py
_base_ = [
    '../_base_/models/e2e_mf26m.py',
    '../_base_/datasets/shapes_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
model = dict(bbox_head=dict(num_classes=6, num_queries=25))
train_cfg = dict(max_epochs=16, val_interval=2)
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
auto_scale_lr = dict(base_batch_size=8)
