# E2E-MF+ for small images and little data: three blocks that refine boxes alone. A config over this one sets the
# variant and the widths.
_base_ = ['e2e_plus_mf.py']
model = dict(bbox_head=dict(num_blocks=[1, 1, 1], expand_ratio=4, pyramid_channels=96, rescore=False))
