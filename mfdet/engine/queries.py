"""What the object queries of an end-to-end detector do: their boxes from block to block, and what they look at."""

import dataclasses

import cv2
import numpy as np
import torch

import mfdet.register  # noqa: F401
from mfdet.engine.inference import image_pipeline, load_model
from mfdet.errors import InputError
from mfdet.models import E2EMobileFormer
from mfdet.models.e2e_detector import valid_mask
from mfdet.visualization import contact_sheet, titled

PANEL = 320  # long side of a panel, in pixels


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """What M queries do with one image, over L blocks.

    Attributes:
        scores: (L, M, K) of the K classes after each block.
        boxes: (L, M, 4) after each block, normalised (cx, cy, w, h).
        attention: for each scale that of its last block, averaged over the heads, (M, h, w).
        shape: height and width at which the model saw the image.
        strides: of each scale.
        classes: class names.
    """

    scores: np.ndarray
    boxes: np.ndarray
    attention: list
    shape: tuple
    strides: list
    classes: list

    def best(self, count):
        """Return the indices of the best-scored queries."""
        return self.scores[-1].max(-1).argsort()[::-1][:count]

    def query_of(self, box, label, score):
        """Return the index of the query that made a detection.

        Args:
            box: (4,) xyxy, normalised.
            label: class index.
            score: in [0, 1].
        """
        cx, cy, w, h = self.boxes[-1].T
        corners = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1).clip(0, 1)
        return int((abs(corners - box).sum(1) + abs(self.scores[-1, :, label] - score)).argmin())


class Observer:
    """An end-to-end detector, watched at work.

    Args:
        path: checkpoint.
        config: config file; None for the one in the checkpoint.
        options: dict of overrides, as of ``--cfg-options``.

    Attributes:
        count: number of queries.

    Raises:
        InputError: a file is missing or wrong, or it is no end-to-end detector.
    """

    def __init__(self, path, config=None, options=None):
        self._model, settings, classes = load_model(config, path, options)
        if not isinstance(self._model, E2EMobileFormer):
            raise InputError(f'{config or path} is no end-to-end detector; take one such as configs/e2e_mf508m.py')
        head = self._model.bbox_head
        self.count = head.num_queries
        self._classes = classes or [f'class {i}' for i in range(head.num_classes)]
        self._pipeline = image_pipeline(settings)
        strides = reversed(self._model.backbone.out_strides)
        self._strides = [stride for stride, stage in zip(strides, head.stages, strict=True) if len(stage)]

    def __call__(self, image):
        """Return what the queries do with an image uint8 (H, W, 3) BGR, as :class:`Seen`."""
        data = {name: [value] for name, value in self._pipeline(dict(img=image, img_id=0)).items()}
        shape = data['data_samples'][0].img_shape
        return Seen(*observe(self._model, data), shape, self._strides, self._classes)


def observe(model, inputs):
    """Run an end-to-end detector on one image and keep what its queries do.

    Args:
        model: :class:`mfdet.models.E2EMobileFormer` in evaluation mode.
        inputs: of the image's pipeline, ``inputs`` and ``data_samples`` as lists of one.

    Returns:
        Class scores (L, M, K) and boxes (L, M, 4), normalised (cx, cy, w, h), after each of the L blocks;
        and for each scale the attention of its last block, averaged over the heads, (M, h, w), of the image alone.
    """
    attention = {}

    def watch(stage):
        def hook(module, args):
            x = args[0]
            weights = module.attention(*args)[1]
            attention[stage] = weights.mean(1)[0].unflatten(-1, x.shape[-2:])

        return hook

    head = model.bbox_head
    hooks = [
        stage[-1].mobile_to_former.register_forward_pre_hook(watch(i))
        for i, stage in enumerate(head.stages)
        if len(stage)
    ]
    data = model.data_preprocessor(inputs)
    x, sample = data['inputs'], data['data_samples'][0]
    try:
        with torch.no_grad():
            feats, valid = model.features(x, [sample])
            logits, boxes = head(feats, valid, all_blocks=True)
    finally:
        for hook in hooks:
            hook.remove()
    inside = valid_mask([sample], x)
    maps = []
    for weights in attention.values():
        if inside is not None:
            stride = x.shape[-1] // weights.shape[-1]
            rows, columns = (-(-size // stride) for size in sample.img_shape)
            weights = weights[:, :rows, :columns]
        maps.append(weights.numpy())
    return head.scores(logits[:, 0]).numpy(), boxes[:, 0].numpy(), maps


def draw_attention(image, weights, cell):
    """Lay attention over an image: blue where there is none, red where most of it is.

    Args:
        image: uint8 (H, W, 3) BGR.
        weights: (h, w).
        cell: width and height of a cell in pixels of the image; the last ones may reach beyond it.

    Returns:
        uint8 (H, W, 3) BGR.
    """
    height, width = image.shape[:2]
    heat = weights / max(weights.max(), 1e-12)
    rows = np.minimum((np.arange(height) / cell[1]).astype(int), len(heat) - 1)
    columns = np.minimum((np.arange(width) / cell[0]).astype(int), heat.shape[1] - 1)
    heat = heat[rows][:, columns]
    color = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_JET)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(gray, 0.5, color, 0.5, 0)


def draw_steps(image, boxes):
    """Draw the box after each block, boxes (L, 4) normalised (cx, cy, w, h), from blue to red; the last one is bold.

    The numbers of the blocks stand in their colours at the lower edge.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    shades = np.linspace(0, 255, len(boxes)).astype(np.uint8)
    colors = cv2.applyColorMap(shades, cv2.COLORMAP_JET)[:, 0].tolist()
    for i, ((cx, cy, w, h), color) in enumerate(zip(boxes, colors, strict=True)):
        first = round(float((cx - w / 2) * width)), round(float((cy - h / 2) * height))
        second = round(float((cx + w / 2) * width)), round(float((cy + h / 2) * height))
        cv2.rectangle(canvas, first, second, color, 3 if i == len(boxes) - 1 else 1, cv2.LINE_AA)
        place = 4 + 16 * i, height - 6
        for shade, thickness in (((255, 255, 255), 3), (color, 1)):  # a white rim keeps the number readable
            cv2.putText(canvas, str(i + 1), place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, shade, thickness, cv2.LINE_AA)
    return canvas


def panels(image, query, seen):
    """Draw what one query does: its boxes, then its attention over each scale.

    Args:
        image: uint8 (H, W, 3) BGR.
        query: its index.
        seen: :class:`Seen` of the image.

    Returns:
        List of a title and a picture uint8 (H', W', 3) BGR, the long side 320 pixels.
    """
    factor = PANEL / max(image.shape[:2])
    image = cv2.resize(
        image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    label = int(seen.scores[-1, query].argmax())
    title = f'query {query}: {seen.classes[label]} {seen.scores[-1, query, label]:.2f}, box by block'
    drawn = [(title, draw_steps(image, seen.boxes[:, query]))]
    for weights, stride in zip(seen.attention, seen.strides, strict=True):
        cell = stride * image.shape[1] / seen.shape[1], stride * image.shape[0] / seen.shape[0]
        drawn.append((f'attention at 1/{stride}', draw_attention(image, weights[query], cell)))
    return drawn


def picture(image, queries, seen):
    """Compose one row of :func:`panels` for each of the queries; returns uint8 (H', W', 3) BGR."""
    drawn = [titled(part, title) for query in queries for title, part in panels(image, query, seen)]
    return contact_sheet(drawn, 1 + len(seen.attention))
