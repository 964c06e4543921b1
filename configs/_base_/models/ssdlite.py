# SSDLite at 320 px as MobileViT's authors use it (section 4.2 and their released config): maps at strides 16 and 32 of
# the backbone, four coarser ones, anchors from 0.1 to 1.05 of the image. A config over this one sets backbone and neck.
# Images keep their ratio and are padded to 320×320, where the released code warps them.
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=320,
    ),
    backbone=dict(type='MobileFormer', arch='151m', out_indices=(2, 3)),
    neck=dict(type='SSDLiteNeck', in_channels=[88, 128], out_channels=[512, 256, 256, 128, 128, 64]),
    bbox_head=dict(
        type='SyncedSSDHead',
        num_classes=80,
        in_channels=[512, 256, 256, 128, 128, 64],
        use_depthwise=True,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU'),
        anchor_generator=dict(
            type='SSDAnchorGenerator',
            scale_major=False,
            strides=[16, 32, 64, 107, 160, 320],  # 320 px over the sides of the maps: 20, 10, 5, 3, 2, 1
            ratios=[[2, 3], [2, 3], [2, 3], [2, 3], [2, 3], [2]],
            min_sizes=[32, 83, 133, 184, 235, 285],
            max_sizes=[83, 133, 184, 235, 285, 336],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
    ),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.0,
            ignore_iof_thr=-1,
            gt_max_assign_all=False,
        ),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=400,
        min_bbox_size=0,
        score_thr=0.01,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=200,
    ),
)
