"""The models. Importing this package registers them in mmdet's ``MODELS``."""

from mfdet.models.classifier import MobileFormerClassifier
from mfdet.models.mobile_former import ARCHS, MobileFormer

__all__ = ['ARCHS', 'MobileFormer', 'MobileFormerClassifier']
