# E2E-MF+ with Mobile-Former-26M, for small images and for CPUs.
_base_ = ['e2e_plus_mf_small.py']
model = dict(
    backbone=dict(arch='26m'),
    bbox_head=dict(in_channels=[24, 64, 96], channels=[96, 64, 32], query_dim=96),
)
