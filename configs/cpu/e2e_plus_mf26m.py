# E2E-MF+ at 192 px, from scratch, for a CPU and images of one's own. Blood cells (205 images), 30 epochs: AP 0.41 in 12
# to 20 minutes on a core:
#   python tools/train.py configs/cpu/e2e_plus_mf26m.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = [
    '../_base_/models/e2e_plus_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/averaged.py',
]
