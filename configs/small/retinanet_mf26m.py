# Mobile-Former-26M in the same RetinaNet, data and schedule as retinanet_mf151m.py, to compare with.
_base_ = ['retinanet_mf151m.py']
model = dict(backbone=dict(arch='26m'), neck=dict(in_channels=[24, 64, 96]))
