# MobileNetV3-Large in the same RetinaNet, data and schedule as retinanet_mf151m.py, to compare with.
_base_ = ['retinanet_mf151m.py']
model = dict(
    backbone=dict(_delete_=True, type='MobileNetV3', out_indices=(1, 2, 3)), neck=dict(in_channels=[40, 112, 160])
)
