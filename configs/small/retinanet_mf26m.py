# Mobile-Former-26M in the same RetinaNet, data and schedule as retinanet_mf151m.py, to compare with. Not measured yet.
#   python tools/train.py configs/small/retinanet_mf26m.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = ['retinanet_mf151m.py']
model = dict(backbone=dict(arch='26m'), neck=dict(in_channels=[24, 64, 96]))
