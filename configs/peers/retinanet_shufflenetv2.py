# RetinaNet on ShuffleNetV2 1.0×, 1× on COCO: AP 25.9 in the paper.
# Table 8 of the Mobile-Former paper, same neck, head and schedule as configs/retinanet_mf*.py. Not trained here.
#   python tools/train.py configs/peers/retinanet_shufflenetv2.py --backbone-weights FILE
_base_ = [
    '../_base_/models/retinanet_mf.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/runtime/default.py',
]
model = dict(
    backbone=dict(_delete_=True, type='ShuffleNetV2', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[116, 232, 464]),
)
