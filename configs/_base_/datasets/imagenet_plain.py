# imagenet.py without RandAugment and random erasing: crops and flips alone.
_base_ = ['imagenet.py']
train_pipeline = [{{_base_.load}}, {{_base_.crop}}, {{_base_.flip}}, {{_base_.pack}}]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
