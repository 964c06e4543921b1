"""The end-to-end detector E2E-MF (Mobile-Former, Table 9)."""

import itertools

import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS

from mfdet.errors import InputError
from mfdet.models.mobile_former import MobileFormer


def inside(sizes, x):
    """Return bool (B, 1, H, W), True inside the images of a padded batch.

    Args:
        sizes: (B, 2), height and width of each image.
        x: the batch (B, 3, H, W).
    """
    rows = torch.arange(x.shape[2], device=x.device) < sizes[:, 0, None]
    columns = torch.arange(x.shape[3], device=x.device) < sizes[:, 1, None]
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def valid_mask(data_samples, x):
    """Tell image from padding in a batch.

    Args:
        data_samples: B DetDataSample with ``img_shape``, the (height, width) before padding.
        x: the batch (B, 3, H, W).

    Returns:
        bool (B, 1, H, W), True inside the images; None if no image is padded.
    """
    shapes = [tuple(sample.metainfo['img_shape'][:2]) for sample in data_samples]
    if all(shape == tuple(x.shape[-2:]) for shape in shapes):
        return None
    return inside(torch.tensor(shapes, device=x.device), x)


@MODELS.register_module()
class E2EMobileFormer(SingleStageDetector):
    """Mobile-Former with spatial-aware dynamic ReLU, then :class:`MobileFormerHead`: no FPN, no anchors, no NMS.

    Padding is masked in backbone and head, so that in evaluation mode the detections of an image do not depend on the
    images it shares a batch with, provided the batch is padded to multiples of 32 (``pad_size_divisor=32`` of the
    preprocessor). In training, the statistics of BatchNorm count padding.
    Arguments as in mmdet's SingleStageDetector, without ``neck``.

    Raises:
        InputError: a neck is given, the backbone is another than MobileFormer, or its maps do not each halve the one
            before.
    """

    def __init__(self, backbone, bbox_head, neck=None, **kwargs):
        if neck is not None:
            raise InputError(
                f'neck: an end-to-end Mobile-Former has none, its head takes the maps as they are; got {neck}'
            )
        super().__init__(backbone, bbox_head=bbox_head, **kwargs)
        if not isinstance(self.backbone, MobileFormer):
            raise InputError(
                'backbone: an end-to-end Mobile-Former needs a MobileFormer, whose maps do not depend on padding; '
                f'got {type(self.backbone).__name__}'
            )
        strides = self.backbone.out_strides
        if any(2 * fine != coarse for fine, coarse in itertools.pairwise(strides)):
            raise InputError(
                f'backbone.out_indices must be consecutive, each map half the one before; got strides {strides}'
            )

    def features(self, x, data_samples):
        """Return the maps of the images x (B, 3, H, W), and which cells of the finest are image: (B, 1, H', W')."""
        valid = valid_mask(data_samples, x)
        stride = self.backbone.out_strides[0]
        return self.backbone(x, valid=valid), None if valid is None else valid[..., ::stride, ::stride]

    def _forward(self, batch_inputs, batch_data_samples=None):
        """Return class logits (1, B, M, K + 1) and boxes (1, B, M, 4) of images (B, 3, H, W)."""
        if batch_data_samples is None:
            return self.bbox_head(self.backbone(batch_inputs))
        return self.bbox_head(*self.features(batch_inputs, batch_data_samples))

    def loss(self, batch_inputs, batch_data_samples):
        """Return the dict of losses of images (B, 3, H, W) and their B DetDataSample."""
        feats, valid = self.features(batch_inputs, batch_data_samples)
        return self.bbox_head.loss(feats, batch_data_samples, valid)

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        """Return the DetDataSample of images (B, 3, H, W) with ``pred_instances`` added."""
        feats, valid = self.features(batch_inputs, batch_data_samples)
        predictions = self.bbox_head.predict(feats, batch_data_samples, valid, rescale)
        return self.add_pred_to_datasample(batch_data_samples, predictions)
