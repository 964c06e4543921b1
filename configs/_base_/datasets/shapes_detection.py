# Generated shapes, 6 classes, 96×96: no files needed. Validation images come from another seed.
image_size = (96, 96)
max_objects = 3
diameters = (0.3, 0.7)
clutter = 0.25
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='ResumableBatchSampler'),
    dataset=dict(
        type='ShapesDataset',
        length=2000,
        seed=0,
        image_size=image_size,
        max_objects=max_objects,
        diameters=diameters,
        clutter=clutter,
        pipeline=[
            dict(type='GenerateShapes'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ShapesDataset',
        length=300,
        seed=1,
        image_size=image_size,
        max_objects=max_objects,
        diameters=diameters,
        clutter=clutter,
        test_mode=True,
        pipeline=[
            dict(type='GenerateShapes'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
            ),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='MfdetCocoMetric')
test_evaluator = val_evaluator
