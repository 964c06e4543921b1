# The paper's end-to-end head at 192 px, from scratch, to compare with: on a few hundred images it has a quarter of the
# AP of configs/cpu/e2e_mf26m.py.
_base_ = [
    '../_base_/models/e2e_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
