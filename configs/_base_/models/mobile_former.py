# Classifier in the released form. A config over this one sets the variant, its dropout and its mixup.
# Where the paper is silent: label smoothing 0.1, as is common with this recipe. Stochastic depth: none.
model = dict(
    type='MobileFormerClassifier',
    arch='508m',
    num_classes=1000,
    label_smoothing=0.1,
    mixup=0.2,
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
)
