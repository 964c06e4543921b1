"""The models. Importing this package registers them in mmdet's ``MODELS``."""

from mfdet.models.classifier import MobileFormerClassifier
from mfdet.models.e2e_detector import E2EMobileFormer
from mfdet.models.e2e_head import MobileFormerHead
from mfdet.models.e2e_plus_head import MobileFormerPlusHead
from mfdet.models.matchability_loss import MatchabilityAwareLoss
from mfdet.models.mobile_former import ARCHS, MobileFormer
from mfdet.models.mobilenet_v3 import MobileNetV3
from mfdet.models.retina_head import SyncedRetinaHead
from mfdet.models.shufflenet_v2 import ShuffleNetV2

__all__ = [
    'ARCHS',
    'E2EMobileFormer',
    'MatchabilityAwareLoss',
    'MobileFormer',
    'MobileFormerClassifier',
    'MobileFormerHead',
    'MobileFormerPlusHead',
    'MobileNetV3',
    'ShuffleNetV2',
    'SyncedRetinaHead',
]
