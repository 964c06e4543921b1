# E2E-MF+ at 192 px, from scratch, for a CPU and images of one's own.
_base_ = [
    '../_base_/models/e2e_plus_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/averaged.py',
]
