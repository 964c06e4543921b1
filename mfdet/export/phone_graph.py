"""What is exported for phones: a detector of single images of one size, as :mod:`mfdet.export.graph` has it.

Non-maximum suppression, which neither runtime has for torch's graphs, is left to :mod:`mfdet.suppression`; the
metadata's ``nms`` says how.
"""

import copy

from torch import nn

from mfdet.errors import InputError
from mfdet.export.channels_last import channels_last
from mfdet.export.graph import AnchorGraph, E2EGraph, build_graph


class PhoneGraph(nn.Module):
    """The graph of a detector with the inputs and outputs of the files for phones.

    Args:
        detector: graph of :func:`mfdet.export.graph.build_graph`.
        layout: 'NHWC' or 'NCHW', of the images.
    """

    outputs = ('boxes', 'scores', 'labels')

    def __init__(self, detector, layout):
        super().__init__()
        self.detector = detector
        self.layout = layout

    def forward(self, images, sizes):
        """Detect.

        Args:
            images: (1, H, W, 3) or (1, 3, H, W).
            sizes: float32 (1, 2), height and width of the image.

        Returns:
            A dict of boxes, scores and labels as :class:`mfdet.export.graph.DetectorGraph` has them; with anchors, of
            the candidates for non-maximum suppression.
        """
        if self.layout == 'NHWC':
            images = images.permute(0, 3, 1, 2)
        return dict(zip(self.outputs, self.detector(images, sizes), strict=True))


class CandidatesGraph(AnchorGraph):
    """:class:`mfdet.export.graph.AnchorGraph` without non-maximum suppression."""

    def nms(self):
        """Return what the runtime has to do, as metadata."""
        config = self.model.test_cfg
        return dict(
            iou_threshold=config.nms.iou_threshold,
            score_thr=self.score_thr,
            min_size=self.min_size,
            max_per_img=config.max_per_img,
        )

    def suppressed(self, boxes, scores, labels):
        """Return the candidates as they are."""
        return boxes, scores, labels


KINDS = {E2EGraph: E2EGraph, AnchorGraph: CandidatesGraph}


def phone_kind(model):
    """Return the class of the graph for phones of this kind of model, None if there is none."""
    return KINDS.get(type(build_graph(model)))


def build_phone_graph(model, normalized=True, layout='NCHW'):
    """Return the module to export for phones, of a copy of the model, and entries of its metadata.

    Args:
        model: the detector.
        normalized: see :class:`mfdet.export.graph.DetectorGraph`.
        layout: see :class:`PhoneGraph`.

    Raises:
        InputError: there is none for this kind of model.
    """
    kind = phone_kind(model)
    if kind is None:
        raise InputError(
            f'{type(model).__name__} cannot be exported for phones; RetinaNet, SSD and E2EMobileFormer can'
        )
    detector = kind(channels_last(copy.deepcopy(model)), normalized)
    graph = PhoneGraph(detector, layout).eval().requires_grad_(False)
    return graph, dict(layout=layout, **(dict(nms=detector.nms()) if kind is CandidatesGraph else {}))
