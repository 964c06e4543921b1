# Mobile-Former-52M on ImageNet, from scratch: top-1 68.7 % in the paper (not trained here yet).
# Its recipe has no RandAugment and no random erasing.
# torchrun --nproc-per-node 8 tools/train.py configs/imagenet/mobile_former_52m.py --data-root imagenet
_base_ = [
    '../_base_/models/mobile_former.py',
    '../_base_/datasets/imagenet_plain.py',
    '../_base_/schedules/imagenet_450e.py',
    '../_base_/runtime/classification.py',
]
model = dict(arch='52m', dropout=0.2)
optim_wrapper = dict(optimizer=dict(lr=8e-4, weight_decay=0.10))
