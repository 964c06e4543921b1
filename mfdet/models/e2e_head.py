"""Head of the end-to-end detector E2E-MF (Mobile-Former, Table 9): object queries through Mobile-Former blocks."""

import itertools
import math

import torch
from mmdet.models.dense_heads import DETRHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps, bbox_xyxy_to_cxcywh
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.model.weight_init import xavier_init
from torch import nn

from mfdet.errors import InputError
from mfdet.layers import Mobile, MobileFormerBlock
from mfdet.layers.mobile import pointwise
from mfdet.layers.position import PositionCode, align_position_codes
from mfdet.layers.precision import in_float32
from mfdet.layers.scales import scales_of
from mfdet.layers.up_conv import UpConv
from mfdet.models.denoising import DenoisingQueries, Noise
from mfdet.models.matcher import HungarianMatcher
from mfdet.models.queries import Queries, QueryGroups, grid_queries


def mlp(in_channels, hidden, out_channels, layers):
    """Linear layers with ReLU between them."""
    widths = [in_channels, *[hidden] * (layers - 1), out_channels]
    linear = [nn.Linear(*pair) for pair in itertools.pairwise(widths)]
    return nn.Sequential(linear[0], *(module for layer in linear[1:] for module in (nn.ReLU(), layer)))


def sizes_of(metas, device):
    """Return width, height, width, height of images in pixels, (B, 4) float32, of B dicts with ``img_shape``."""
    return torch.tensor([meta['img_shape'][1::-1] * 2 for meta in metas], dtype=torch.float, device=device)


RARE = -math.log(99)  # bias of sigmoid scores that start at 0.01


@MODELS.register_module()
class MobileFormerHead(DETRHead):
    """Object queries through Mobile-Former blocks, from the coarsest map of the backbone to the finest.

    A query has a feature part q^f and a position part q^p; q^f + q^p enters the attentions, and after each block
    q^p += g(q^f). Every block's queries are turned into classes and boxes by the same layers; in training each of
    them has its loss, in testing only the last is computed. No anchors, no NMS.

    Beyond the paper, for the sake of learning from little data: a box is sigmoid(MLP(q^f + q^p) + reference), where
    references are learned and start on a grid; q^p starts as the position code of that grid, aligned with the maps'
    codes; no-object starts at even odds.

    Args:
        num_classes: number of classes K, without no-object.
        in_channels: channels of the backbone's maps, fine to coarse, as the backbone gives them.
        channels: channels of the head's maps, coarse to fine, each divisible by 8.
        num_blocks: Mobile-Former blocks at each scale, coarse to fine; the paper's head has 9 in all.
        query_dim: width d of a query, divisible by 4.
        num_queries: number of object queries.
        expand_ratio: expansion of the Mobile parts, one for all scales or one for each, coarse to fine.
        refine_positions: update q^p after each block (ablation: False).
        spatial_aware_dyrelu: let each position mix the dynamic ReLUs of all queries by its attention; False drives
            them by the first query (ablation).
        former_cfg: further arguments of :class:`mfdet.layers.Former`.
        drop_path: probability of dropping an update of a sample in training.
        matcher: weights of the matching costs, arguments of :class:`mfdet.models.matcher.HungarianMatcher`.
        bg_cls_weight: weight of no-object in the classification loss over softmax probabilities.
        loss_cls: DETR's cross-entropy over softmax probabilities (the default, of weight 1), or
            :class:`mfdet.models.MatchabilityAwareLoss`: sigmoid scores without no-object, which tell the quality of
            the box as well.
        loss_bbox, loss_iou: L1 loss of normalised boxes and GIoU loss, by default with DETR's weights 5 and 2.
        denoising: options of :class:`mfdet.models.denoising.Noise`, for denoising queries in training; they are no
            part of the trained model, see :mod:`mfdet.models.training_aids`. None for none.
        query_groups: groups of learned queries in training, see :class:`mfdet.models.queries.QueryGroups`; all but
            the first are no part of the trained model.
        train_cfg: not looked at; mmdet's detectors pass it.
        test_cfg: ``max_per_img`` best detections are kept, by default one for each query.
        init_cfg: of mmengine.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    code_gain = 1.0  # how sharply a query attends to its place at first, see align_position_codes

    def __init__(
        self,
        num_classes,
        in_channels,
        channels=(272, 272, 72),
        num_blocks=(5, 2, 2),
        query_dim=256,
        num_queries=100,
        expand_ratio=6,
        refine_positions=True,
        spatial_aware_dyrelu=True,
        former_cfg=None,
        drop_path=0.0,
        matcher=None,
        bg_cls_weight=0.1,
        loss_cls=None,
        loss_bbox=None,
        loss_iou=None,
        denoising=None,
        query_groups=1,
        train_cfg=None,
        test_cfg=None,
        init_cfg=None,
    ):
        ratios = [expand_ratio] * len(channels) if isinstance(expand_ratio, int) else expand_ratio
        if not isinstance(ratios, (list, tuple)):
            raise InputError(f'expand_ratio must be a whole number or one for each scale, got {expand_ratio!r}')
        if not len(in_channels) == len(channels) == len(num_blocks) == len(ratios):
            raise InputError(
                'in_channels, channels, num_blocks and expand_ratio must have one entry for each scale, '
                f'got {in_channels}, {channels}, {num_blocks} and {expand_ratio}'
            )
        if query_dim % 4:
            raise InputError(f'query_dim must be divisible by 4, the number of heads of Former, got {query_dim}')
        if any(width % 8 for width in channels):
            raise InputError(f'channels must be divisible by 8, for two heads with a 2-D position code, got {channels}')
        if num_queries < 1 or min(num_blocks) < 0 or sum(num_blocks) < 1:
            raise InputError(
                f'num_queries and the sum of num_blocks must be at least 1, got {num_queries} and {num_blocks}'
            )
        loss_cls = dict(loss_cls or dict(type='CrossEntropyLoss'))
        quality = loss_cls['type'] == 'MatchabilityAwareLoss'
        wrong = sorted({'class_weight', 'bg_cls_weight'} & set(loss_cls))
        if not quality and (loss_cls['type'] != 'CrossEntropyLoss' or loss_cls.get('use_sigmoid') or wrong):
            raise InputError(
                'loss_cls must be a MatchabilityAwareLoss, or a CrossEntropyLoss with softmax and without class '
                f'weights, as bg_cls_weight of the head weighs no-object; got {loss_cls}'
            )
        if num_blocks[-1] < 1:
            raise InputError(
                f'the last entry of num_blocks must be at least 1, or its map is of no use; got {num_blocks}'
            )
        if (former_cfg or {}).get('token_mixer') == 'mlp' and (denoising is not None or query_groups != 1):
            raise InputError(
                "former_cfg: token_mixer='mlp' mixes a fixed number of queries; leave denoising and query_groups out"
            )
        self._layout = dict(
            in_channels=in_channels[::-1],
            channels=channels,
            num_blocks=num_blocks,
            ratios=ratios,
            block_cfg=dict(
                spatial_aware=spatial_aware_dyrelu,
                former_cfg=dict(former_cfg or {}, num_tokens=num_queries),
                drop_path=drop_path,
            ),
        )
        self.num_queries = num_queries
        self.refine_positions = refine_positions
        self.matcher = HungarianMatcher(**(matcher or {}), use_sigmoid=quality)
        if not quality:
            loss_cls['class_weight'] = [1.0] * num_classes + [bg_cls_weight]
        super().__init__(
            num_classes,
            embed_dims=query_dim,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox or dict(type='L1Loss', loss_weight=5.0),
            loss_iou=loss_iou or dict(type='GIoULoss', loss_weight=2.0),
            train_cfg=None,
            test_cfg=dict(max_per_img=min((test_cfg or {}).get('max_per_img', num_queries), num_queries)),
            init_cfg=init_cfg,
        )
        self.bg_cls_weight = bg_cls_weight
        # Last, so that the model's own weights start the same with and without them.
        self.denoising = None if denoising is None else self._build_denoising(denoising)
        self.query_groups = None if query_groups == 1 else QueryGroups(query_groups, num_queries, query_dim)

    def _build_denoising(self, options):
        return DenoisingQueries(Noise.of(options, self.num_classes), self.embed_dims)

    def _init_layers(self):
        """Build the layers; called by the base class."""
        layout, dim = self._layout, self.embed_dims
        self._build_queries()
        self.codes = nn.ModuleList()
        self.entries = nn.ModuleList()  # how a scale's map comes about: a projection, then up-convolutions
        self.stages = nn.ModuleList()
        previous = None
        for in_channels, channels, depth, ratio in zip(
            layout['in_channels'], layout['channels'], layout['num_blocks'], layout['ratios'], strict=True
        ):
            entry = pointwise(in_channels, channels) if previous is None else UpConv(previous, in_channels, channels)
            self.entries.append(entry)
            self.codes.append(PositionCode(channels))
            last = len(self.stages) == len(layout['channels']) - 1
            self.stages.append(
                nn.ModuleList(self._build_block(channels, ratio, last and i == depth - 1) for i in range(depth))
            )
            previous = channels
        refined = sum(layout['num_blocks']) if self.refine_positions else 0
        self.refine = nn.ModuleList(mlp(dim, dim, dim, 2) for _ in range(refined))
        self.fc_cls = nn.Linear(dim, self.cls_out_channels)
        self.fc_reg = mlp(dim, dim, 4, 3)
        self.reset_parameters()

    def _build_queries(self):
        self.query_features = nn.Parameter(torch.zeros(self.num_queries, self.embed_dims))
        self.query_positions = nn.Parameter(torch.zeros(self.num_queries, self.embed_dims))
        self.query_references = nn.Parameter(torch.zeros(self.num_queries, 4))

    def _build_block(self, channels, ratio, last):
        dim, block_cfg = self.embed_dims, self._layout['block_cfg']
        mobile = None if last else Mobile(channels, channels, ratio, dim, mix_hidden=block_cfg['spatial_aware'])
        return MobileFormerBlock(mobile, channels, channels, dim, **block_cfg)

    def reset_parameters(self):
        """Initialise for training: queries on a grid, boxes on their references, no-object at even odds."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                xavier_init(module, distribution='uniform')
        self._reset_queries()
        for stage in self.stages:
            for block in stage:
                align_position_codes(block.mobile_to_former, self.code_gain)
        for refine in self.refine:
            nn.init.zeros_(refine[-1].weight)
        nn.init.zeros_(self.fc_reg[-1].weight)
        self._reset_scores()

    def _reset_scores(self):
        if self.loss_cls.use_sigmoid:
            nn.init.constant_(self.fc_cls.bias, RARE)
        else:
            self.fc_cls.bias.data[-1] = math.log(self.num_classes)

    def _reset_queries(self):
        own = self.query_features, self.query_positions, self.query_references
        for parameter, start in zip(own, grid_queries(self.num_queries, self.embed_dims), strict=True):
            parameter.data.copy_(start)

    def own_queries(self, batch_size):
        """Return the learned :class:`Queries` for a batch."""

        def batched(parameter):
            return parameter.expand(batch_size, -1, -1)

        return Queries(
            batched(self.query_features),
            batched(self.query_positions),
            batched(self.query_references),
            groups=(self.num_queries,),
        )

    def forward(self, feats, valid=None, queries=None, all_blocks=False):
        """Predict classes and boxes.

        Args:
            feats: the backbone's maps (B, C, H, W), fine to coarse, each half the size of the one before.
            valid: bool (B, 1, H, W) of the finest map, False at padding; None if it is all image.
            queries: :class:`Queries`; None for the learned ones.
            all_blocks: return the predictions after every block in place of the last.

        Returns:
            Class logits (L, B, M, K + 1), the last class being no-object, or (L, B, M, K) for sigmoid scores, and
            boxes (L, B, M, 4) as normalised (cx, cy, w, h); L is the number of blocks or 1.
        """
        queries = queries or self.own_queries(feats[0].shape[0])
        features, positions = queries.features, queries.positions
        drivers = queries.groups[0] if len(queries.groups) > 1 else None
        outputs = []  # after each block, (q^f, q^f + q^p)
        x = None
        for (feat, mask, extent), entry, code, stage in zip(
            scales_of(feats, valid), self.entries, self.codes, self.stages, strict=True
        ):
            x = entry(feat) if x is None else entry(x, feat, mask)
            map_code = code(x, extent)
            for block in stage:
                x, features = block(x, features, mask, map_code, positions, queries.mask, drivers)
                if self.refine:
                    positions = positions + self.refine[len(outputs)](features)
                outputs.append((features, features + positions))
        hidden, located = map(torch.stack, zip(*(outputs if all_blocks else outputs[-1:]), strict=True))
        boxes = in_float32(self.fc_reg(located)) + queries.references
        return in_float32(self.fc_cls(hidden)), boxes.sigmoid()

    def scores(self, logits):
        """Turn class logits of the head into scores (..., K)."""
        return logits.sigmoid() if self.loss_cls.use_sigmoid else logits.softmax(-1)[..., :-1]

    def loss(self, feats, batch_data_samples, valid=None, queries=None):
        """Compute the losses of every block.

        Args:
            feats, valid, queries: see :meth:`forward`.
            batch_data_samples: B DetDataSample with ``gt_instances`` in pixels of the resized image.

        Returns:
            dict of scalars: ``loss_cls``, ``loss_bbox`` and ``loss_iou`` of the last block; with ``d0.``, ``d1.``
            and so on before the name, those of the others; with ``dn.`` before all that, those of denoising queries.
        """
        objects = [sample.gt_instances for sample in batch_data_samples]
        metas = [sample.metainfo for sample in batch_data_samples]
        queries = queries or self.own_queries(feats[0].shape[0])
        if self.query_groups is not None:
            queries = self.query_groups(queries)
        groups, count = queries.groups, queries.features.shape[1]
        if self.denoising is not None:
            sizes = sizes_of(metas, queries.features.device)
            queries, noised = self.denoising(queries, objects, sizes)
        logits, boxes = self(feats, valid, queries, all_blocks=True)
        losses = self.loss_by_feat(logits[:, :, :count], boxes[:, :, :count], objects, metas, groups)
        if self.denoising is not None:
            added = logits[:, :, count:], boxes[:, :, count:], objects, sizes, noised
            losses.update(self.denoising.noise.losses(self.loss_of_pairs, *added))
        return losses

    def loss_by_feat(self, logits, boxes, objects, metas, groups=None):
        """Compute DETR's losses (section 3.1) of the predictions of all blocks at once.

        Args:
            logits, boxes: see :meth:`forward`.
            objects: B InstanceData with ``bboxes`` (T_b, 4) xyxy in pixels and ``labels`` (T_b,).
            metas: B dicts with ``img_shape`` (height, width) and, for messages, ``img_path``.
            groups: sizes of the groups of queries; None for one.

        Returns:
            dict of scalars, see :meth:`loss`.
        """
        logits, boxes = logits.float(), boxes.float()
        sizes = sizes_of(metas, boxes.device)
        names = [meta.get('img_path') or meta.get('img_id', i) for i, meta in enumerate(metas)]
        pairs = self.matcher(logits.detach(), boxes.detach(), objects, sizes, groups, names)
        return self.loss_of_pairs(logits, boxes, objects, sizes, pairs)

    def loss_of_pairs(self, logits, boxes, objects, sizes, pairs):
        """Compute DETR's losses for an assignment, of the matcher or known beforehand as for denoising queries.

        Args:
            logits, boxes: see :meth:`forward`, float32.
            objects: see :meth:`loss_by_feat`.
            sizes: (B, 4) image width, height, width, height in pixels.
            pairs: block, image, query and object of each pair, as the matcher returns them; the same number for each
                block. All other queries are no-object.

        Returns:
            dict of scalars, see :meth:`loss`.
        """
        block, image, query, target = pairs
        predicted, scale = boxes[block, image, query], sizes[image]
        truth = torch.cat([item.bboxes for item in objects]).to(boxes)[target]
        labels = torch.cat([item.labels for item in objects])[target]
        positives = len(block) // len(logits)
        negatives = logits[0, ..., 0].numel() - positives
        # Means over the processes, so that they have the loss of one process with all the images.
        positives, negatives = reduce_mean(boxes.new_tensor([positives, negatives], dtype=torch.float))
        if self.loss_cls.use_sigmoid:
            quality = torch.full_like(logits, -1)
            pixels = bbox_cxcywh_to_xyxy(predicted.detach()) * scale
            quality[block, image, query, labels] = bbox_overlaps(pixels, truth, is_aligned=True).clamp(min=0)
            losses_cls = self.loss_cls(logits, quality, reduction_override='none').sum((1, 2, 3))
            counted = positives
        else:
            classes = logits.new_full(logits.shape[:-1], self.num_classes, dtype=torch.long)
            classes[block, image, query] = labels
            losses_cls = self.loss_cls(logits.flatten(0, 2), classes.flatten(), reduction_override='none')
            losses_cls = losses_cls.unflatten(0, logits.shape[:3]).sum((1, 2))
            counted = positives + self.bg_cls_weight * negatives
        losses_cls = losses_cls / counted.clamp(min=1 / get_world_size())
        positives = positives.clamp(min=1 / get_world_size())

        def by_block(losses):
            if not len(block):  # a zero that reaches every parameter, as processes that train together need
                return predicted.sum() * losses_cls.new_zeros(len(logits))
            return losses.new_zeros(len(logits)).index_add(0, block, losses.view(len(block), -1).sum(1)) / positives

        losses_bbox = self.loss_bbox(predicted, bbox_xyxy_to_cxcywh(truth / scale), reduction_override='none')
        losses_iou = self.loss_iou(bbox_cxcywh_to_xyxy(predicted) * scale, truth, reduction_override='none')
        named = dict(loss_cls=losses_cls, loss_bbox=by_block(losses_bbox), loss_iou=by_block(losses_iou))
        last = len(logits) - 1
        return {
            name if i == last else f'd{i}.{name}': loss
            for name, losses in named.items()
            for i, loss in enumerate(losses)
        }

    def predict(self, feats, batch_data_samples, valid=None, rescale=True):
        """Return B InstanceData with ``bboxes`` (N, 4) xyxy in pixels, ``scores`` and ``labels``, best first.

        Boxes are in pixels of the original image, with ``rescale=False`` of the resized one.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*self(feats, valid), batch_img_metas=metas, rescale=rescale)
