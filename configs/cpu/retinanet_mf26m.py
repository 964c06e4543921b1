# Mobile-Former-26M in a small RetinaNet, data and schedule as e2e_paper_mf26m.py, to compare with.
_base_ = [
    '../_base_/models/retinanet_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
