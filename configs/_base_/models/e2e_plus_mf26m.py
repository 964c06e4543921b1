# E2E-MF+ for small images and for CPUs.
_base_ = ['e2e_plus_mf.py']
model = dict(
    backbone=dict(arch='26m'),
    bbox_head=dict(
        in_channels=[24, 64, 96],
        channels=[96, 64, 32],
        num_blocks=[1, 1, 1],
        query_dim=96,
        expand_ratio=4,
        pyramid_channels=96,
        rescore=False,
    ),
)
