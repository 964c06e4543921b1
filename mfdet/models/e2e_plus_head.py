"""Head of E2E-MF+, beyond the paper: the end-to-end head for little data and short trainings."""

import warnings

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from torch import nn

from mfdet.errors import InputError
from mfdet.layers.box_sampling import BoxSampling
from mfdet.layers.duplicates import duplicate_penalty
from mfdet.layers.position import place_code
from mfdet.layers.scales import scales_of
from mfdet.models.denoising import Noise
from mfdet.models.e2e_head import RARE, MobileFormerHead, sizes_of
from mfdet.models.query_selection import QuerySelection, moved
from mfdet.values import is_count


def without_scores(losses):
    """Return losses without those of classes."""
    return {name: loss for name, loss in losses.items() if not name.endswith('loss_cls')}


@MODELS.register_module()
class MobileFormerPlusHead(MobileFormerHead):
    """E2E-MF's blocks over queries that the maps propose, each of which refines its box from block to block.

    What differs from :class:`MobileFormerHead`, whose learned queries need long to find out which object is whose:

    - queries are the best cells of a small pyramid of maps (:class:`QuerySelection`), with their boxes and scores; the
      cells learn like those of a dense detector, several for each object;
    - before each block a query looks at the map inside its box (:class:`mfdet.layers.BoxSampling`);
    - after each block it moves its box, in units of that box, and the next block starts from there, with the code of
      that box as position part (iterative refinement: Deformable DETR, Zhu et al., ICLR 2021);
    - its score is that of its cell, plus what the block says (``rescore``), less where a better query shows the same
      object (:func:`mfdet.layers.duplicate_penalty`).

    Args:
        num_classes: number of classes K.
        in_channels: channels of the backbone's maps, fine to coarse.
        pyramid_channels: channels of the pyramid, divisible by 8.
        boxes_per_cell, cell_size: of :class:`QuerySelection`.
        cells_weight: factor of the losses of the cells.
        rescore: let the blocks have their say in the scores. They learn it from one query for each object, which on a
            few hundred images does more harm than good; without it, blocks refine boxes alone.
        dense_aid: a further dense head of mmdet on the pyramid, whose losses train the maps as well; it is no part of
            the trained model, see :mod:`mfdet.models.training_aids`. None for none.
        others: of :class:`MobileFormerHead`; ``refine_positions`` and ``query_groups`` are not among them. In
            ``denoising`` noised objects start blocks as further boxes, with the features of the cell whose box at the
            start fits best. They learn boxes alone, as the scores are of the cells: of the options of
            :class:`mfdet.models.denoising.Noise` it takes ``box_noise_scale``, ``max_queries`` and ``weight``.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    code_gain = 4.0

    def __init__(
        self,
        num_classes,
        in_channels,
        pyramid_channels=64,
        boxes_per_cell=3,
        cell_size=2.0,
        cells_weight=3.0,
        rescore=True,
        dense_aid=None,
        **others,
    ):
        if 'refine_positions' in others:
            raise InputError('refine_positions: positions follow the boxes here; leave it out')
        if 'query_groups' in others:
            raise InputError('query_groups: the queries here are cells of the maps, not learned ones; leave it out')
        if not is_count(boxes_per_cell) or not cell_size > 0:
            raise InputError(
                f'boxes_per_cell must be at least 1 and cell_size above 0, got {boxes_per_cell} and {cell_size}'
            )
        self._selection = dict(
            in_channels=in_channels[::-1],
            channels=pyramid_channels,
            num_classes=num_classes,
            boxes_per_cell=boxes_per_cell,
            cell_size=cell_size,
        )
        self._rescore = rescore
        widths = [pyramid_channels] * len(in_channels)
        super().__init__(num_classes, widths, refine_positions=False, **others)
        if not self.loss_cls.use_sigmoid:
            raise InputError(
                'loss_cls must be a MatchabilityAwareLoss here, as cells have no no-object; '
                f'got {others.get("loss_cls")}'
            )
        self.cells_weight = cells_weight
        self.loss_cells = MODELS.build(dict(type='mmdet.QualityFocalLoss'))
        with warnings.catch_warnings():  # ATSSHead warns of mmdet's own names
            warnings.simplefilter('ignore')
            self.dense_aid = MODELS.build(dense_aid) if dense_aid else None

    def _build_denoising(self, options):
        return Noise.of(options, self.num_classes, known=('box_noise_scale', 'max_queries', 'weight'))

    def _build_queries(self):
        dim = self.embed_dims
        self.selection = QuerySelection(**self._selection, num_queries=self.num_queries, query_dim=dim)
        self.size_code = nn.Linear(dim, dim)
        self.sampling = nn.ModuleList(
            nn.ModuleList(BoxSampling(channels, dim) for _ in range(depth))
            for channels, depth in zip(self._layout['channels'], self._layout['num_blocks'], strict=True)
        )

    def _reset_queries(self):
        nn.init.zeros_(self.size_code.weight)
        nn.init.constant_(self.selection.classify.bias, RARE)
        for layer in (self.selection.classify, self.selection.regress):
            nn.init.normal_(layer.weight, std=0.01)

    def _reset_scores(self):
        if self._rescore:
            nn.init.zeros_(self.fc_cls.weight)  # at first, the cells' scores as they are
            nn.init.zeros_(self.fc_cls.bias)
        else:
            self.fc_cls = None

    def positions(self, boxes):
        """Return the position part (B, M, d) of queries with boxes (B, M, 4): the codes of centre and size."""
        dtype = self.size_code.weight.dtype
        centres, sizes = (place_code(part, self.embed_dims).to(dtype) for part in boxes.split(2, -1))
        return centres + self.size_code(sizes)

    def forward(self, feats, valid=None, all_blocks=False):
        """Predict classes and boxes, which may reach out of the image; otherwise as :class:`MobileFormerHead`."""
        scales = scales_of(feats, valid)
        maps, cells = self.selection.cells(scales)
        return self.run_blocks(maps, scales, *self.selection(cells), all_blocks=all_blocks)

    def run_blocks(self, maps, scales, features, boxes, logits, attention=None, all_blocks=True):
        """Run the queries through the blocks.

        Args:
            maps: the pyramid, coarse to fine.
            scales: of :func:`mfdet.layers.scales.scales_of`.
            features: queries (B, M, d).
            boxes: where they start, (B, M, 4) normalised (cx, cy, w, h).
            logits: of their cells, (B, M, K).
            attention: in training with further queries after those that have logits: who attends to whom,
                bool (B, 1, M, M). They update no map and have no scores.
            all_blocks: return the predictions after every block; False for the last alone.

        Returns:
            Class logits (L, B, M, K) and boxes (L, B, M, 4) after each block; L is the number of blocks or 1.
        """
        drivers = None if attention is None else logits.shape[1]

        def own(x):
            return x if drivers is None else x[:, :drivers]

        outputs, x = [], None
        for lateral, (_, mask, extent), entry, code, stage, samplings in zip(
            maps, scales, self.entries, self.codes, self.stages, self.sampling, strict=True
        ):
            x = entry(lateral) if x is None else entry(x, lateral, mask)
            map_code = code(x, extent)
            for block, sampling in zip(stage, samplings, strict=True):
                boxes = boxes.detach()  # each block answers for its own step
                positions = self.positions(boxes)
                features = sampling(x, features, boxes, extent, mask)
                x, features = block(x, features, mask, map_code, positions, attention, drivers)
                boxes = moved(boxes, self.fc_reg(features))
                scores = logits.detach()
                if self.fc_cls is not None:
                    scores = scores + self.fc_cls(own(features))
                outputs.append((scores, boxes))
        chosen = outputs if all_blocks else outputs[-1:]
        outputs = [(scores + duplicate_penalty(own(boxes), scores), boxes) for scores, boxes in chosen]
        return tuple(map(torch.stack, zip(*outputs, strict=True)))

    def loss(self, feats, batch_data_samples, valid=None):
        """Compute the losses of every block, of the cells (``cells.``) and of the training aids (``dense.``, ``dn.``).

        Arguments and results otherwise as of :class:`MobileFormerHead`.
        """
        objects = [sample.gt_instances for sample in batch_data_samples]
        metas = [sample.metainfo for sample in batch_data_samples]
        sizes = sizes_of(metas, feats[0].device)
        scales = scales_of(feats, valid)
        maps, cells = self.selection.cells(scales)
        features, starts, of_cells = self.selection(cells)
        attention = None
        if self.denoising is not None:
            noised = self.denoising(objects, sizes)
            attention = noised.attention((self.num_queries,))
            features = torch.cat([features, self.selection.nearest(cells, noised.boxes)], 1)
            starts = torch.cat([starts, noised.boxes], 1)
        logits, boxes = self.run_blocks(maps, scales, features, starts, of_cells, attention)
        own, others = boxes[:, :, : self.num_queries], boxes[:, :, self.num_queries :]
        losses = self.loss_by_feat(logits, own, objects, metas)
        if self.fc_cls is None:  # the scores are those of the cells, which have a loss of their own
            losses = without_scores(losses)
        if self.denoising is not None:
            none = others.new_zeros(*others.shape[:3], self.num_classes)
            of_noised = self.denoising.losses(self.loss_of_pairs, none, others, objects, sizes, noised)
            losses.update(without_scores(of_noised))
        losses.update(self.loss_of_cells(cells, objects, sizes))
        if self.dense_aid is not None:
            of_aid = self.dense_aid.loss(maps[::-1], batch_data_samples)
            losses.update({f'dense.{name}': loss for name, loss in of_aid.items()})
        return losses

    def loss_of_cells(self, cells, objects, sizes):
        """Compute the losses of the cells, several of which belong to each object.

        Args:
            cells: :class:`mfdet.models.query_selection.Cells`.
            objects, sizes: see :meth:`MobileFormerHead.loss_of_pairs`.

        Returns:
            ``cells.loss_cls``, quality focal loss (Li et al., NeurIPS 2020), and ``cells.loss_iou``, scalars.
        """
        logits, boxes = cells.logits.float(), cells.boxes.float()
        image, cell, target = self.selection.assign(cells, objects, sizes)
        truth = torch.cat([item.bboxes for item in objects]).to(boxes)[target]
        pixels = bbox_cxcywh_to_xyxy(boxes[image, cell]) * sizes[image]
        labels = torch.full_like(logits[..., 0], self.num_classes, dtype=torch.long)
        labels[image, cell] = torch.cat([item.labels for item in objects])[target]
        quality = torch.zeros_like(logits[..., 0])
        quality[image, cell] = bbox_overlaps(pixels.detach(), truth, is_aligned=True).clamp(min=0)
        targets = labels.flatten(), quality.flatten()
        loss_cls = self.loss_cells(logits.flatten(0, 1), targets, reduction_override='sum')
        loss_iou = self.loss_iou(pixels, truth, reduction_override='sum') if len(cell) else 0 * boxes.sum()
        share = self.cells_weight / reduce_mean(boxes.new_tensor(len(cell))).clamp(min=1 / get_world_size())
        return {'cells.loss_cls': share * loss_cls, 'cells.loss_iou': share * loss_iou}
