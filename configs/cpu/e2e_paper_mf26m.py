# The paper's end-to-end head at 192 px, from scratch, to compare with. Blood cells (205 images), 30 epochs: AP 0.10 in
# 8 minutes on a core, a quarter of the AP of configs/cpu/e2e_mf26m.py.
#   python tools/train.py configs/cpu/e2e_paper_mf26m.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = [
    '../_base_/models/e2e_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
