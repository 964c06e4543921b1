"""The parts of a Mobile-Former block, one class for each name in the paper."""

from mfdet.layers.block import MobileFormerBlock
from mfdet.layers.box_relation import BoxRelation
from mfdet.layers.box_sampling import BoxSampling
from mfdet.layers.bridge import FormerToMobile, MobileToFormer
from mfdet.layers.dynamic_relu import DynamicReLU, StaticReLU
from mfdet.layers.former import Former
from mfdet.layers.mobile import BneckLite, Mobile, MobileDownsample, channel_shuffle

__all__ = [
    'BneckLite',
    'BoxRelation',
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
]
