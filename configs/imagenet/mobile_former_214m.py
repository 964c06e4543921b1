# Mobile-Former-214M on ImageNet, from scratch: top-1 76.7 % in the paper (not trained here yet).
# torchrun --nproc-per-node 8 tools/train.py configs/imagenet/mobile_former_214m.py --data-root imagenet
_base_ = [
    '../_base_/models/mobile_former.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_450e.py',
    '../_base_/runtime/classification.py',
]
model = dict(arch='214m', dropout=0.2)
optim_wrapper = dict(optimizer=dict(lr=9e-4, weight_decay=0.15))
