# default.py for classifiers: the best checkpoint is that of the highest top-1 accuracy.
_base_ = ['default.py']
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1'))
