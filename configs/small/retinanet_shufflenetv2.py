# ShuffleNetV2 1.0× in the same RetinaNet, data and schedule as retinanet_mf151m.py, to compare with. Not measured yet.
#   python tools/train.py configs/small/retinanet_shufflenetv2.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = ['retinanet_mf151m.py']
model = dict(
    backbone=dict(_delete_=True, type='ShuffleNetV2', out_indices=(1, 2, 3)), neck=dict(in_channels=[116, 232, 464])
)
