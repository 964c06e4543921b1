# MobileViT in SSDLite. A config over this one sets the variant and the channels of its maps.
# Images as the released weights expect them: BGR as read, from 0 to 1, neither mean nor deviation.
_base_ = ['ssdlite.py']
model = dict(
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=False),
    backbone=dict(_delete_=True, type='MobileViT', arch='s', out_indices=(2, 3)),
    neck=dict(in_channels=[128, 160]),
)
