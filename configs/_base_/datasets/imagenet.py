# ImageNet-1k at 224×224, or any train/<class>/ and val/<class>/ folders: --data-root names the folder that holds both.
# The paper names RandAugment m9-mstd0.5 and random erasing 0.2. Where it is silent: random crops of 8 to 100 % of the
# area and flips, as is common; two operations of RandAugment, each applied with probability 0.5, as in the library
# whose notation m9-mstd0.5 is; erased rectangles as in their paper, 2 to 40 % of the area. No colour jitter.
# Crops are of one size, so the loader's processes stack them: a GPU takes a batch in one copy.
# Images are reduced while decoded only if their shorter side keeps two crops, so that few crops lose pixels.
data_root = 'data/imagenet/'
load = dict(type='LoadReducedImage', least_side=448)
crop = dict(type='RandomResizedCrop', size=224)
flip = dict(type='mmcv.RandomFlip', prob=0.5)
rand_augment = dict(type='MfdetRandAugment', magnitude=9, magnitude_std=0.5, num_ops=2, probability=0.5)
random_erasing = dict(type='MfdetRandomErasing', probability=0.2)
pack = dict(type='PackClassification')
train_pipeline = [load, crop, flip, rand_augment, random_erasing, pack]
test_pipeline = [
    dict(type='LoadReducedImage', least_side=256),
    dict(  # the shorter side to 256, bicubic
        type='mmcv.Resize', scale=(10**9, 256), keep_ratio=True, interpolation='bicubic', backend='pillow'
    ),
    dict(type='mmcv.CenterCrop', crop_size=224),
    pack,
]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='ResumableBatchSampler', by_orientation=False, drop_last=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolders',
        data_root=data_root,
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolders',
        data_root=data_root,
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TopKAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
