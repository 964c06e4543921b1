"""The parts of a Mobile-Former block, one class for each name in the paper."""

from mfdet.layers.block import MobileFormerBlock
from mfdet.layers.box_sampling import BoxSampling
from mfdet.layers.bridge import FormerToMobile, MobileToFormer
from mfdet.layers.duplicates import duplicate_penalty
from mfdet.layers.dynamic_relu import DynamicReLU, StaticReLU
from mfdet.layers.former import Former
from mfdet.layers.mobile import BneckLite, Mobile, MobileDownsample, channel_shuffle

__all__ = [
    'BneckLite',
    'BoxSampling',
    'DynamicReLU',
    'Former',
    'FormerToMobile',
    'Mobile',
    'MobileDownsample',
    'MobileFormerBlock',
    'MobileToFormer',
    'StaticReLU',
    'channel_shuffle',
    'duplicate_penalty',
]
