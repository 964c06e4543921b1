# RetinaNet on PVT-Tiny, 1× on COCO: AP 36.7 in the paper.
# Table 8 of the Mobile-Former paper, same neck, head and schedule as configs/retinanet_mf*.py. Not trained here.
#   python tools/train.py configs/peers/retinanet_pvt_tiny.py --backbone-weights FILE
_base_ = [
    '../_base_/models/retinanet_mf.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/runtime/default.py',
]
model = dict(
    backbone=dict(_delete_=True, type='PyramidVisionTransformer', num_layers=[2, 2, 2, 2], out_indices=(1, 2, 3)),
    neck=dict(in_channels=[128, 320, 512], add_extra_convs='on_input'),  # as published
)
