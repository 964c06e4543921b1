# The paper's recipe for ImageNet: AdamW, 450 epochs, total batch 1024 (8 processes of 128), cosine. A config over this
# one sets rate and weight decay.
# Where the paper is silent: 5 epochs of warm-up, cosine to zero, no weight decay on biases and norms, no clipping of
# gradients, validation every 5 epochs.
train_cfg = dict(type='ResumableTrainLoop', max_epochs=450, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=True, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.2),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=1024)
