# E2E-MF+ with Mobile-Former-151M at 320 px, from scratch, for a few hundred images of one's own; not yet measured.
_base_ = [
    '../_base_/models/e2e_plus_mf.py',
    '../_base_/datasets/small_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/averaged.py',
]
model = dict(
    backbone=dict(arch='151m'),
    bbox_head=dict(
        in_channels=[32, 88, 128],
        channels=[176, 128, 40],
        num_blocks=[1, 1, 1],
        expand_ratio=4,
        pyramid_channels=96,
        rescore=False,
    ),
)
