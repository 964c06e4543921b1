# From a trained detector (--load-from) to one's own images: short, at the rates of a training from scratch. With halved
# ones, and a quarter for the backbone, starts from 128 images of COCO had 0.06 to 0.08 less AP (docs/results.md). For a
# detector that has seen much more, smaller ones may be better, which is not measured:
#   --cfg-options optim_wrapper.optimizer.lr=5e-4 optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.5
# Goes with runtime/averaged.py. --epochs changes the length.
_base_ = ['schedule_scratch.py']
train_cfg = dict(max_epochs=20, val_interval=2)
