# E2E-MF+ with Mobile-Former-151M at 320 px, from scratch, for a few hundred images of one's own. Blood cells (205
# images), 30 epochs: AP 0.528 (0.526 to 0.530, three seeds), in 35 to 60 minutes on a core:
#   python tools/train.py configs/small/e2e_plus_mf151m.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = [
    '../_base_/models/e2e_plus_mf151m_small.py',
    '../_base_/datasets/small_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/averaged.py',
]
