# Mobile-Former-508M on ImageNet, from scratch: top-1 79.3 % in the paper (not trained here yet).
# torchrun --nproc-per-node 8 tools/train.py configs/imagenet/mobile_former_508m.py --data-root imagenet
_base_ = [
    '../_base_/models/mobile_former.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_450e.py',
    '../_base_/runtime/classification.py',
]
model = dict(arch='508m', dropout=0.3)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.20))
