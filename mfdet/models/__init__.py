"""The models. Importing this package registers them in mmdet's ``MODELS``."""

from mfdet.models.classifier import Classifier, MobileFormerClassifier, MobileViTClassifier
from mfdet.models.e2e_detector import E2EMobileFormer
from mfdet.models.e2e_head import MobileFormerHead
from mfdet.models.e2e_plus_head import MobileFormerPlusHead
from mfdet.models.matchability_loss import MatchabilityAwareLoss
from mfdet.models.mobile_former import ARCHS, MobileFormer
from mfdet.models.mobilenet_v3 import MobileNetV3
from mfdet.models.mobilevit import MOBILEVITS, MobileViT
from mfdet.models.shufflenet_v2 import ShuffleNetV2
from mfdet.models.ssdlite_neck import SSDLiteNeck
from mfdet.models.synced_heads import SyncedRetinaHead, SyncedSSDHead

__all__ = [
    'ARCHS',
    'MOBILEVITS',
    'Classifier',
    'E2EMobileFormer',
    'MatchabilityAwareLoss',
    'MobileFormer',
    'MobileFormerClassifier',
    'MobileFormerHead',
    'MobileFormerPlusHead',
    'MobileNetV3',
    'MobileViT',
    'MobileViTClassifier',
    'SSDLiteNeck',
    'ShuffleNetV2',
    'SyncedRetinaHead',
    'SyncedSSDHead',
]
