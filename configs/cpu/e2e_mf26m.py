# The small end-to-end detector at 192 px, from scratch, for a CPU and images of one's own.
# On a few hundred images configs/cpu/e2e_plus_mf26m.py learns four times as well: the paper's queries need more.
_base_ = [
    '../_base_/models/e2e_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/runtime/default.py',
]
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
