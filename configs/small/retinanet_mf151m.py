# Mobile-Former-151M in a small RetinaNet at 320 px, from scratch, for a few hundred images of one's own. Blood cells
# (205 images), 30 epochs: AP 0.50 in 27 to 50 minutes on a core, and 0.55 with anchors from 16 pixels for the smallest
# ones (--cfg-options model.bbox_head.anchor_generator.octave_base_scale=2):
#   python tools/train.py configs/small/retinanet_mf151m.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = [
    '../_base_/models/retinanet_mf151m_small.py',
    '../_base_/datasets/small_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
