# End-to-end detector E2E-MF+, beyond the paper, for little data and short trainings: queries are the best cells of a
# small pyramid of maps, they refine their boxes from block to block and look at the map inside them, see docs/model.md.
# ATSS (Zhang et al., CVPR 2020) trains the maps as well and is no part of the trained model.
# A config over this one sets the variant and the widths.
_base_ = ['e2e_mf.py']
model = dict(
    bbox_head=dict(
        type='MobileFormerPlusHead',
        pyramid_channels=96,
        loss_cls=dict(_delete_=True, type='MatchabilityAwareLoss'),
        matcher=dict(cost_class=2.0),
        dense_aid=dict(
            type='ATSSHead',
            num_classes=80,
            in_channels=96,
            feat_channels=64,
            stacked_convs=1,
            norm_cfg=dict(type='GN', num_groups=16),
            anchor_generator=dict(
                type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=[8, 16, 32]
            ),
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]
            ),
            loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
            loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
            loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
            train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False),
        ),
    ),
)
