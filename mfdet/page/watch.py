"""What the query behind a detection does, for the end-to-end detectors."""

import numpy as np


def watch(observer, found, seen, detections, number):
    """Draw what the query of a detection does, block by block.

    Args:
        observer: :class:`mfdet.engine.queries.Observer` of the detector.
        found: :class:`mfdet.page.detect.Found`.
        seen: what an earlier call returned for it, or None.
        detections: those shown.
        number: index among them.

    Returns:
        :class:`mfdet.engine.queries.Seen`, for the next call, and a list of titles and pictures uint8 (H, W, 3) BGR.
    """
    from mfdet.engine.queries import panels  # imports torch

    seen = seen or observer(found.image)
    height, width = found.image.shape[:2]
    box = detections.boxes[number] / np.float32([width, height, width, height])
    query = seen.query_of(box, detections.labels[number], detections.scores[number])
    return seen, panels(found.image, query, seen)
