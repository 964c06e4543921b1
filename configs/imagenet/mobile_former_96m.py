# Mobile-Former-96M on ImageNet, from scratch: top-1 72.8 % in the paper (not trained here yet).
# Its recipe has no mixup and no random erasing.
# torchrun --nproc-per-node 8 tools/train.py configs/imagenet/mobile_former_96m.py --data-root imagenet
_base_ = [
    '../_base_/models/mobile_former.py',
    '../_base_/datasets/imagenet_no_erasing.py',
    '../_base_/schedules/imagenet_450e.py',
    '../_base_/runtime/classification.py',
]
model = dict(arch='96m', dropout=0.2, mixup=0.0)
optim_wrapper = dict(optimizer=dict(lr=8e-4, weight_decay=0.10))
