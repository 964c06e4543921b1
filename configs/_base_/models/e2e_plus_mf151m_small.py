# E2E-MF+ with Mobile-Former-151M for small images.
_base_ = ['e2e_plus_mf_small.py']
model = dict(
    backbone=dict(arch='151m'),
    bbox_head=dict(in_channels=[32, 88, 128], channels=[176, 128, 40]),
)
