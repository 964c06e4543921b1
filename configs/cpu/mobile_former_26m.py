# A classifier of images in folders named after their classes, at 64 px: trains on a CPU in minutes. Not of the paper.
# python tools/train.py configs/cpu/mobile_former_26m.py --data-root FOLDER, which holds train/<class>/ and val/<class>/
_base_ = [
    '../_base_/models/mobile_former.py',
    '../_base_/datasets/imagenet_plain.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/classification.py',
]
model = dict(arch='26m', mixup=0.0)
train_pipeline = [
    dict(type='LoadReducedImage', least_side=128),
    dict(type='RandomResizedCrop', size=64, scale=(0.25, 1.0)),
    dict(type='mmcv.RandomFlip', prob=0.5),
    dict(type='PackClassification'),
]
test_pipeline = [
    dict(type='LoadReducedImage', least_side=72),
    dict(type='mmcv.Resize', scale=(10**9, 72), keep_ratio=True, interpolation='bicubic', backend='pillow'),
    dict(type='mmcv.CenterCrop', crop_size=64),
    dict(type='PackClassification'),
]
train_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=32)
