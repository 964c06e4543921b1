"""Image classifiers: Mobile-Former and MobileViT with the heads of their released ImageNet weights."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModel, BaseModule
from mmengine.model.weight_init import trunc_normal_init
from torch import nn

from mfdet.errors import InputError
from mfdet.layers import MobileToFormer, channel_shuffle
from mfdet.layers.mobile import pointwise
from mfdet.layers.mobilevit import ACT, NORM
from mfdet.models.mixup import mixup, smooth_targets
from mfdet.models.mobile_former import ARCHS, MobileFormer
from mfdet.models.mobilevit import MOBILEVITS, MobileViT


class ClassificationHead(BaseModule):
    """Mobile-Former's (section 3.4).

    One more Mobile→Former, 1×1 convolution to 6C, global pool, first token appended, two linear layers.

    Args:
        channels: channels C of the last map.
        token_dim: width d of a token, 0 if there are none.
        feature_dim: width of the hidden linear layer.
        num_classes: number of classes K.
        groups: groups of the 1×1 convolution.
        dropout: dropout before the last layer.
    """

    def __init__(self, channels, token_dim, feature_dim, num_classes, groups=1, dropout=0.0):
        super().__init__()
        self.groups = groups
        self.mobile_to_former = MobileToFormer(channels, token_dim) if token_dim else None
        self.expand = pointwise(channels, 6 * channels, groups, act_cfg=dict(type='ReLU6'))
        self.fc = nn.Linear(6 * channels + token_dim, feature_dim)
        self.bn = nn.BatchNorm1d(feature_dim)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(feature_dim, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02)

    def forward(self, x, tokens):
        """Map x (B, C, H, W) and tokens (B, M, d) or None to logits (B, K)."""
        pooled = F.hardswish(self.expand(channel_shuffle(x, self.groups)).mean((-2, -1)))
        if self.mobile_to_former is not None:
            tokens, _ = self.mobile_to_former(x, tokens)
            pooled = torch.cat([pooled, tokens[:, 0]], dim=1)
        features = F.hardswish(self.bn(self.fc(pooled)))
        return self.classifier(self.dropout(features))


class MobileViTHead(BaseModule):
    """MobileViT's: 1×1 convolution, global pool, one linear layer.

    Args:
        channels: channels C of the last map.
        feature_dim: channels after the convolution.
        num_classes: number of classes K.
        dropout: dropout before the last layer.
    """

    def __init__(self, channels, feature_dim, num_classes, dropout=0.0):
        super().__init__()
        self.expand = ConvModule(channels, feature_dim, 1, norm_cfg=NORM, act_cfg=ACT)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(feature_dim, num_classes)
        trunc_normal_init(self.classifier, std=0.02)

    def forward(self, x):
        """Map x (B, C, H, W) to logits (B, K)."""
        return self.classifier(self.dropout(self.expand(x).mean((-2, -1))))


class Classifier(BaseModel):
    """Image classifier of a ``backbone`` and a ``head``, whose last layer is ``head.classifier``.

    ``model(x)`` gives logits (B, num_classes) for images (B, 3, H, W); ``model.backbone(x)`` the tuple of maps at
    strides 4, 8, 16 and 32.

    Args:
        label_smoothing: of the training, from 0 to less than 1, see :func:`mfdet.models.mixup.smooth_targets`.
        mixup: α of the training, see :func:`mfdet.models.mixup.mixup`; 0 mixes nothing.
        data_preprocessor: of mmengine's BaseModel; for training and testing, ImgDataPreprocessor.
        dropout: dropout before the last layer, which a subclass builds.
        backbone_cfg: further arguments of the backbone, which a subclass builds.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    def __init__(self, label_smoothing, mixup, data_preprocessor, dropout, backbone_cfg):
        super().__init__(data_preprocessor)
        if 'out_indices' in backbone_cfg:
            raise InputError('out_indices cannot be chosen for a classifier: its head needs the last stage')
        for name, value in (('dropout', dropout), ('label_smoothing', label_smoothing)):
            if not 0 <= value < 1:
                raise InputError(f'{name} must be from 0 to less than 1, got {value!r}')
        if mixup < 0:
            raise InputError(f'mixup must be 0 or more, got {mixup!r}')
        self.label_smoothing = label_smoothing
        self.mixup = mixup

    def logits(self, images):
        """Map images (B, 3, H, W) to logits (B, num_classes)."""
        return self.head(self.backbone(images)[-1])

    def forward(self, inputs, data_samples=None, mode='tensor'):
        """Map images (B, 3, H, W) to logits (B, num_classes), or to what training and testing of mmengine need.

        Args:
            inputs: normalised images (B, 3, H, W).
            data_samples: for the other modes, B elements with ``gt_label``, a number.
            mode: ``'tensor'`` for logits, ``'loss'`` for :meth:`loss`, ``'predict'`` for :meth:`predict`.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.logits(inputs)

    def loss(self, inputs, data_samples):
        """Return a dict with the cross-entropy ``loss`` to smoothed, mixed targets; see :meth:`forward`."""
        labels = torch.tensor([sample.gt_label for sample in data_samples], device=inputs.device)
        targets = smooth_targets(labels, self.head.classifier.out_features, self.label_smoothing)
        if self.mixup:
            inputs, targets = mixup(inputs, targets, self.mixup)
        return dict(loss=F.cross_entropy(self(inputs), targets))

    def predict(self, inputs, data_samples):
        """Return the data samples with ``pred_scores``, probabilities (num_classes,) on the CPU."""
        for sample, scores in zip(data_samples, self(inputs).softmax(-1).cpu(), strict=True):
            sample.pred_scores = scores
        return data_samples


@MODELS.register_module()
class MobileFormerClassifier(Classifier):
    """Mobile-Former in the released form.

    Args:
        arch: variant, see :class:`mfdet.models.MobileFormer`.
        num_classes: number of classes.
        dropout: dropout before the last layer (0.3 for 508m and 294m when the released weights were trained).
        label_smoothing, mixup, data_preprocessor: see :class:`Classifier`.
        backbone_cfg: further arguments of the backbone; ``out_indices`` stays at all four strides.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    def __init__(
        self,
        arch,
        num_classes=1000,
        dropout=0.0,
        label_smoothing=0.0,
        mixup=0.0,
        data_preprocessor=None,
        **backbone_cfg,
    ):
        super().__init__(label_smoothing, mixup, data_preprocessor, dropout, backbone_cfg)
        self.backbone = MobileFormer(arch, **backbone_cfg)
        spec = ARCHS[arch]
        self.head = ClassificationHead(
            self.backbone.out_channels[-1],
            self.backbone.token_dim if self.backbone.num_tokens else 0,
            spec['feature_dim'],
            num_classes,
            spec.get('groups', 1),
            dropout,
        )

    def logits(self, images):
        """See the base class."""
        maps, tokens = self.backbone(images, return_tokens=True)
        return self.head(maps[-1], tokens)


@MODELS.register_module()
class MobileViTClassifier(Classifier):
    """MobileViT in the released form, for images as :class:`mfdet.models.MobileViT` takes them.

    Args:
        arch: variant, see :class:`mfdet.models.MobileViT`.
        num_classes: number of classes.
        dropout: dropout before the last layer; that in the transformers is the variant's own.
        label_smoothing, mixup, data_preprocessor: see :class:`Classifier`.
        backbone_cfg: further arguments of the backbone; ``out_indices`` stays at all four strides.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    def __init__(
        self,
        arch,
        num_classes=1000,
        dropout=0.1,
        label_smoothing=0.0,
        mixup=0.0,
        data_preprocessor=None,
        **backbone_cfg,
    ):
        super().__init__(label_smoothing, mixup, data_preprocessor, dropout, backbone_cfg)
        self.backbone = MobileViT(arch, **backbone_cfg)
        self.head = MobileViTHead(self.backbone.out_channels[-1], MOBILEVITS[arch]['feature_dim'], num_classes, dropout)
