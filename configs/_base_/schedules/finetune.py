# From a trained detector (--load-from) to one's own images: short, at half the rate, a quarter for the backbone and a
# twentieth for its stem, whose norms and biases decay too (such a rule sets the others aside). Goes with
# runtime/averaged.py. --epochs changes the length.
_base_ = ['schedule_scratch.py']
train_cfg = dict(max_epochs=20, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.5), 'backbone.stem': dict(lr_mult=0.1)}),
)
