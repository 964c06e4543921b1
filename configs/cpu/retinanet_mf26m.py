# Mobile-Former-26M in a small RetinaNet at 192 px, from scratch, for a CPU and images of one's own. Blood cells (205
# images), 30 epochs: AP 0.44 in 8 to 10 minutes on a core. Its anchors begin at 16 pixels; for larger objects --cfg-
# options model.bbox_head.anchor_generator.octave_base_scale=4.
#   python tools/train.py configs/cpu/retinanet_mf26m.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = [
    '../_base_/models/retinanet_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
