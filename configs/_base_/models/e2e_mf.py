# End-to-end detector E2E-MF (Table 9 of the paper): backbone with spatial-aware dynamic ReLU, then a head of nine
# Mobile-Former blocks over strides 32, 16 and 8 with 100 object queries.
# A config over this one sets the variant and the widths. The paper's table of head widths is not at hand: ours are
# fitted to its parameters and MAdds, see docs/model.md.
model = dict(
    type='E2EMobileFormer',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(type='MobileFormer', arch='508m', out_indices=(1, 2, 3), spatial_aware_dyrelu=True),
    bbox_head=dict(
        type='MobileFormerHead',
        num_classes=80,
        in_channels=[72, 176, 240],
        channels=[272, 272, 72],  # strides 32, 16, 8
        num_blocks=[5, 2, 2],
        query_dim=256,
        num_queries=100,
        expand_ratio=6,
        matcher=dict(cost_class=1.0, cost_bbox=5.0, cost_giou=2.0),
        loss_cls=dict(type='CrossEntropyLoss', loss_weight=1.0),
        bg_cls_weight=0.1,
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0),
    ),
    test_cfg=dict(max_per_img=100),
)
