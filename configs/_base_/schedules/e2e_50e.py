# The recipe of e2e_300e.py in 50 epochs: for a first look. The paper has no result at this length.
_base_ = ['e2e_300e.py']
train_cfg = dict(max_epochs=50)
param_scheduler = [dict(type='MultiStepLR', begin=0, end=50, by_epoch=True, milestones=[33], gamma=0.1)]
