"""Small end-to-end heads, and what they are given: the backbone's maps and annotated samples."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mfdet.models import MobileFormerHead, MobileFormerPlusHead

SMALL = dict(
    num_classes=5, in_channels=[8, 12, 16], channels=[32, 24, 16], num_blocks=[2, 1, 1], query_dim=32, num_queries=12,
    expand_ratio=2,
)  # fmt: skip
SMALL_PLUS = dict(SMALL, pyramid_channels=16, loss_cls=dict(type='MatchabilityAwareLoss'))


def make_head(head_class=MobileFormerHead, **options):
    torch.manual_seed(0)
    head = head_class(**{**SMALL, **options})
    for parameter in head.parameters():  # no zero weights that would hide a mistake
        parameter.data += 0.05 * torch.randn_like(parameter)
    return head


def make_plus_head(**options):
    return make_head(MobileFormerPlusHead, **{**SMALL_PLUS, **options})


def make_aid(num_classes, channels):
    """Return the config of a dense head that aids the training."""
    return dict(
        type='ATSSHead',
        num_classes=num_classes,
        in_channels=channels,
        feat_channels=16,
        stacked_convs=1,
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
        norm_cfg=dict(type='BN'),
        anchor_generator=dict(
            type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=[8, 16, 32]
        ),
        train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False),
    )


def make_feats(height, width, batch=2, channels=(8, 12, 16), seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(-(-height // s), -(-width // s)) for s in (8, 16, 32)][-len(channels) :]
    return tuple(torch.randn(batch, c, *size, generator=generator) for c, size in zip(channels, sizes, strict=True))


def make_samples(counts, shape=(64, 96)):
    generator = torch.Generator().manual_seed(3)
    samples = []
    for i, count in enumerate(counts):
        corners = torch.rand(count, 2, 2, generator=generator).sort(1).values.flatten(1)
        boxes = corners * torch.tensor([shape[1], shape[0]] * 2)
        objects = InstanceData(bboxes=boxes, labels=torch.randint(5, (count,), generator=generator))
        samples.append(DetDataSample(gt_instances=objects, metainfo=dict(img_shape=shape, img_path=f'{i}.jpg')))
    return samples


def make_padded():
    """Return maps of one image, the same on the valid area of a larger padded batch of two, and its mask."""
    alone = make_feats(64, 96, batch=1)
    padding = torch.Generator().manual_seed(9)
    batch, valid = [], None
    for feat, stride in zip(alone, (8, 16, 32), strict=True):
        padded = 10 * torch.randn(2, feat.shape[1], 160 // stride, 128 // stride, generator=padding)
        padded[:1, :, : feat.shape[2], : feat.shape[3]] = feat
        if valid is None:
            valid = torch.ones(2, 1, *padded.shape[2:], dtype=torch.bool)
            valid[0] = False
            valid[0, :, : feat.shape[2], : feat.shape[3]] = True
        batch.append(padded)
    return alone, tuple(batch), valid
