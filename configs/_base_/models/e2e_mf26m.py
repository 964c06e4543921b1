# A small end-to-end detector for small images and for CPUs. Not of the paper. Where stride 32 leaves a few cells only,
# one block is enough there.
_base_ = ['e2e_mf.py']
model = dict(
    backbone=dict(arch='26m'),
    bbox_head=dict(in_channels=[24, 64, 96], channels=[96, 64, 32], num_blocks=[1, 2, 2], query_dim=96, expand_ratio=4),
)
