"""What is exported: a detector as one function of tensors, from images to boxes, scores and labels.

The inputs are those of :mod:`mfdet.runtime`: a padded batch and the size of each image in it.
"""

import math

import torch
import torch.nn.functional as F
from mmcv.ops import nms
from mmdet.models.dense_heads import RetinaHead
from mmdet.models.detectors import DETR, SingleStageDetector
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import nn

from mfdet.errors import InputError
from mfdet.layers.precision import in_float32
from mfdet.models import Classifier, E2EMobileFormer, SyncedRetinaHead, SyncedSSDHead
from mfdet.models.e2e_detector import inside


@torch.library.custom_op('mfdet::keep_by_nms', mutates_args=())
def keep_by_nms(
    boxes: torch.Tensor, scores: torch.Tensor, max_output: int, iou_threshold: float, score_threshold: float
) -> torch.Tensor:
    """Non-maximum suppression of a batch, as a mask. ONNX has an operator for it, torch has none.

    Args:
        boxes: (B, N, 4) xyxy.
        scores: (B, N).
        max_output: most boxes to keep of an image.
        iou_threshold: a box is dropped when its IoU with a better one that is kept exceeds this.
        score_threshold: boxes are kept only above this.

    Returns:
        bool (B, N), True where a box is kept.
    """
    keep = torch.zeros_like(scores, dtype=torch.bool)
    for mask, image_boxes, image_scores in zip(keep, boxes, scores, strict=True):
        above = (image_scores > score_threshold).nonzero().squeeze(-1)
        _, kept = nms(image_boxes[above].contiguous(), image_scores[above].contiguous(), iou_threshold)
        mask[above[kept[:max_output]]] = True
    return keep


@keep_by_nms.register_fake
def _(boxes, scores, max_output, iou_threshold, score_threshold):
    return torch.empty_like(scores, dtype=torch.bool)


class DetectorGraph(nn.Module):
    """A detector from a padded batch to its detections, with the input preparation inside if asked for.

    Args:
        model: the detector, in evaluation mode.
        normalized: True if images come normalised; False puts channel order, normalisation and zeroing of padding in
            front, for images as OpenCV reads them.

    Raises:
        InputError: an option of the model's ``test_cfg`` cannot be exported.
    """

    outputs = ('boxes', 'scores', 'labels')
    coarsest_stride = 32
    recordable = 'detect'  # the method for :mod:`mfdet.engine.cuda_graph`

    def __init__(self, model, normalized=True):
        super().__init__()
        self.model = model
        self.normalized = normalized
        preprocessor = model.data_preprocessor
        self.flip = preprocessor._channel_conversion
        self.register_buffer('mean', preprocessor.mean.clone(), persistent=False)
        self.register_buffer('std', preprocessor.std.clone(), persistent=False)

    def forward(self, images, sizes):
        """Detect.

        Args:
            images: (B, 3, H, W), H and W multiples of 32, see :class:`DetectorGraph`.
            sizes: int64 (B, 2), height and width of each image.

        Returns:
            boxes (B, N, 4) xyxy in pixels, clipped to the image; scores (B, N), best first, and labels int64 (B, N);
            unused rows are 0.
        """
        valid = inside(sizes, images)
        if not self.normalized:
            images = images[:, [2, 1, 0]] if self.flip else images
            images = (images - self.mean) / self.std * valid
        extent = sizes[:, [1, 0, 1, 0]].to(images.dtype)[:, None]  # (B, 1, 4), width, height, width, height
        return self.detect(images, valid, extent)


class QueryGraph(DetectorGraph):
    """A detector that finds one object with each query, without non-maximum suppression."""

    def best(self, scores, boxes, extent):
        """Return the best detections.

        Args:
            scores: (B, M, K) of M queries and K classes.
            boxes: (B, M, 4) cxcywh, relative to the image.
            extent: (B, 1, 4), see :meth:`DetectorGraph.forward`.
        """
        head = self.model.bbox_head
        count = head.test_cfg.get('max_per_img', scores.shape[1])
        if head.loss_cls.use_sigmoid:  # as in mmdet, a query may be found as several classes
            scores, best = scores.flatten(1).topk(count)
            labels, best = best % head.num_classes, best // head.num_classes
        else:
            scores, labels = scores.max(-1)
            scores, best = scores.topk(count)
            labels = labels.gather(1, best)
        boxes = bbox_cxcywh_to_xyxy(boxes.gather(1, best[..., None].expand(-1, -1, 4))) * extent
        return boxes.clamp(min=0).minimum(extent), scores, labels


class E2EGraph(QueryGraph):
    """:class:`mfdet.models.E2EMobileFormer`: the queries with the best scores."""

    def detect(self, images, valid, extent):
        """See :meth:`DetectorGraph.forward`; valid is bool (B, 1, H, W), extent (B, 1, 4)."""
        stride = self.model.backbone.out_strides[0]
        feats = self.model.backbone(images, valid=valid)
        head = self.model.bbox_head
        logits, boxes = head(feats, valid[..., ::stride, ::stride])
        return self.best(head.scores(logits[0]), boxes[0], extent)


class DETRGraph(QueryGraph):
    """mmdet's DETR, with the padding of any batch masked."""

    def detect(self, images, valid, extent):
        """See :meth:`DetectorGraph.forward`; valid is bool (B, 1, H, W), extent (B, 1, 4)."""
        model, head = self.model, self.model.bbox_head
        feat = model.extract_feat(images)[-1]
        padding = ~F.interpolate(valid.to(feat.dtype), size=feat.shape[-2:]).bool()[:, 0]  # nearest, as in mmdet
        position = model.positional_encoding(padding).flatten(2).transpose(1, 2)  # (B, H'·W', C)
        padding = padding.flatten(1)
        memory = model.forward_encoder(feat.flatten(2).transpose(1, 2), padding, position)['memory']
        queries, _ = model.pre_decoder(memory)
        hidden = model.forward_decoder(**queries, memory_mask=padding, memory_pos=position)['hidden_states']
        logits, boxes = map(in_float32, head(hidden[-1:]))
        scores = logits[0].sigmoid() if head.loss_cls.use_sigmoid else logits[0].softmax(-1)[..., :-1]
        return self.best(scores, boxes[0], extent)


class AnchorGraph(DetectorGraph):
    """mmdet's RetinaNet and SSD: the best candidates of each level, decoded, then class-wise NMS."""

    heads = RetinaHead, SyncedRetinaHead, SyncedSSDHead
    recordable = 'dense'  # mmdet's coder copies from the host, and suppression waits for it

    def __init__(self, model, normalized=True):
        super().__init__(model, normalized)
        head, config = model.bbox_head, model.test_cfg
        nms_config = config.get('nms') or {}
        fits = {
            'bbox_coder.clip_border must be True': getattr(head.bbox_coder, 'clip_border', False),
            "test_cfg.nms must be dict(type='nms', iou_threshold=...)": nms_config.get('type', 'nms') == 'nms'
            and set(nms_config) <= {'type', 'iou_threshold'}
            and 'iou_threshold' in nms_config,
            'test_cfg.min_bbox_size must be 0': config.get('min_bbox_size', -1) <= 0,
            'test_cfg.nms_pre must be at least 1': config.get('nms_pre', -1) >= 1,
            'test_cfg.max_per_img must be from 1 to nms_pre': 1
            <= config.get('max_per_img', -1)
            <= config.get('nms_pre', -1),
        }
        for condition, holds in fits.items():
            if not holds:
                raise InputError(f'{condition} to be exported, got {config}')
        self.score_thr = config.get('score_thr', 0)
        self.min_size = config.get('min_bbox_size', -1)
        self.coarsest_stride = max(32, *(max(stride) for stride in head.prior_generator.strides))
        self.softmax = not head.use_sigmoid_cls

    def detect(self, images, valid, extent):
        """See :meth:`DetectorGraph.forward`; valid is not looked at, extent is (B, 1, 4)."""
        outputs = self.dense(images)
        levels = [self.candidates(i, *maps) for i, maps in enumerate(zip(*outputs, strict=True))]
        boxes, scores, labels = (torch.cat(parts, 1) for parts in zip(*levels, strict=True))
        return self.suppressed(boxes.clamp(min=0).minimum(extent), scores, labels)

    def dense(self, images):
        """Return the logits and the deltas of each level, see :meth:`candidates`; boxes are decoded in float32."""
        outputs = self.model.bbox_head(self.model.extract_feat(images))
        return [[in_float32(x) for x in maps] for maps in outputs]

    def suppressed(self, boxes, scores, labels):
        """Return what class-wise non-maximum suppression leaves of candidates, best first; the rest is 0.

        Args:
            boxes: (B, N, 4) xyxy.
            scores, labels: (B, N).

        Returns:
            The same with N = ``test_cfg.max_per_img``.
        """
        config = self.model.test_cfg
        large = ((boxes[..., 2:] - boxes[..., :2]) > self.min_size).all(-1)
        scores = scores * large
        apart = boxes + (labels * (boxes.amax((1, 2)) + 1)[:, None])[..., None]  # classes do not overlap
        keep = keep_by_nms(apart, scores, config.max_per_img, config.nms.iou_threshold, self.score_thr)
        scores, best = (scores * keep).topk(config.max_per_img)
        used = scores > 0
        boxes = boxes.gather(1, best[..., None].expand(-1, -1, 4)) * used[..., None]
        return boxes, scores, labels.gather(1, best) * used

    def foreground(self, logits):
        """Return logits (B, n, K) without those of background, which softmax has last."""
        return logits[..., : self.model.bbox_head.num_classes] if self.softmax else logits

    def candidates(self, level, logits, deltas):
        """Return the best (anchor, class) pairs of a level.

        Args:
            level: index of the level.
            logits: (B, A·K, H, W) for A anchors at each position and K classes, background among them with softmax.
            deltas: (B, A·4, H, W).

        Returns:
            boxes (B, n, 4), scores (B, n) and labels (B, n) with n = ``test_cfg.nms_pre``; where the level has fewer
            pairs, the rest has score 0.
        """
        head, count = self.model.bbox_head, self.model.test_cfg.nms_pre
        logits = logits.permute(0, 2, 3, 1)
        shape, classes = logits.shape[1:3], head.num_classes
        logits = logits.flatten(1).unflatten(1, (-1, head.cls_out_channels))  # (B, H·W·A, K)
        logits = logits.log_softmax(-1) if self.softmax else logits
        # The best pairs are among the anchors of the best pairs: sorting those first, sigmoids last, is much less work.
        anchor_logits = F.pad(self.foreground(logits).amax(2), (0, count), value=-math.inf)
        anchor_logits, kept = anchor_logits.topk(count)
        kept = kept.clamp(max=logits.shape[1] - 1)
        # Background goes after the gathering: OpenVINO takes a slice in front of it away, and then finds shapes amiss.
        logits = self.foreground(logits.gather(1, kept[..., None].expand(-1, -1, logits.shape[-1])))
        logits = logits.masked_fill(anchor_logits[..., None] == -math.inf, -math.inf)
        scores, index = logits.flatten(1).topk(count)
        scores, place = scores.exp() if self.softmax else scores.sigmoid(), kept.gather(1, index // classes)
        deltas = deltas.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4))
        deltas = deltas.gather(1, place[..., None].expand(-1, -1, 4))
        anchors = head.prior_generator.single_level_grid_priors(shape, level, logits.dtype, logits.device)
        boxes = head.bbox_coder.decode(anchors[place].flatten(0, 1), deltas.flatten(0, 1))
        return boxes.view(-1, count, 4), scores, index % classes


class ClassifierGraph(nn.Module):
    """:class:`mfdet.models.Classifier`: normalised images (B, 3, H, W) to logits (B, K)."""

    outputs = ('logits',)
    coarsest_stride = 32

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        """Return the logits."""
        return self.model(images)


def build_graph(model, normalized=True):
    """Return the module to export for a model.

    Raises:
        InputError: there is none for this kind of model.
    """
    if isinstance(model, E2EMobileFormer):
        return E2EGraph(model, normalized)
    if type(model) is DETR:  # those derived of it differ in the decoder
        return DETRGraph(model, normalized)
    if isinstance(model, SingleStageDetector) and type(model.bbox_head) in AnchorGraph.heads:
        return AnchorGraph(model, normalized)
    if isinstance(model, Classifier):
        return ClassifierGraph(model)
    head = f' with {type(model.bbox_head).__name__}' if hasattr(model, 'bbox_head') else ''
    raise InputError(
        f'{type(model).__name__}{head} cannot be exported; RetinaNet, SSD, DETR, E2EMobileFormer and classifiers can'
    )
