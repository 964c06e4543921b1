"""What a detector finds in an image, and that in the forms that others take."""

import dataclasses
from pathlib import Path

import numpy as np

from mfdet.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first; ``len()`` is the number N of detections.

    Attributes:
        boxes: float32 (N, 4) xyxy in pixels of the original image.
        scores: float32 (N,) in [0, 1].
        labels: int64 (N,) class indices.
        names: list of N class names.
        source: path of the image; None if it came as an array.
        track_ids: int64 (N,), the numbers of the objects that a :class:`mfdet.runtime.Tracker` follows, from 1 up, -1
            where there is none; None if they are not tracked.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: list
    source: str | None = None
    track_ids: np.ndarray | None = None

    def __len__(self):
        return len(self.scores)

    def filter(self, score=0.0, classes=None):
        """Return the :class:`Detections` with at least this score, and of these classes.

        Args:
            score: least score, in [0, 1], or one for each of them, (N,).
            classes: class names; None for all. Those that nothing was found of are no error.
        """
        keep = self.scores >= score
        if classes is not None:
            wanted = {classes} if isinstance(classes, str) else set(classes)
            keep &= np.array([name in wanted for name in self.names], bool)
        names = [name for name, kept in zip(self.names, keep, strict=True) if kept]
        ids = None if self.track_ids is None else self.track_ids[keep]
        return dataclasses.replace(
            self, boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep], names=names, track_ids=ids
        )

    def to_numpy(self):
        """Return float32 (N, 6): x1, y1, x2, y2, score and class index; tracked, (N, 7) with the number at the end."""
        ids = [] if self.track_ids is None else [self.track_ids]
        return np.column_stack([self.boxes, self.scores, self.labels, *ids]).astype(np.float32)

    def to_coco(self, image_id=0):
        """Return a list of COCO results; ``category_id`` counts classes from 1, as in ``predictions.json``.

        What has a number from tracking has it as ``track_id``.

        Args:
            image_id: of the image.
        """
        ids = [-1] * len(self) if self.track_ids is None else self.track_ids.tolist()
        return [
            dict(image_id=image_id, category_id=label + 1, bbox=[x1, y1, x2 - x1, y2 - y1], score=score)
            | (dict(track_id=number) if number > 0 else {})
            for (x1, y1, x2, y2), score, label, number in zip(
                self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), ids, strict=True
            )
        ]

    def to_supervision(self):
        """Return ``supervision.Detections``, for its annotators, zones and trackers.

        Raises:
            InputError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise InputError('to_supervision needs supervision: pip install supervision') from error
        names = np.array(self.names, dtype=object) if len(self) else np.empty(0, dtype=object)
        return supervision.Detections(
            xyxy=self.boxes.reshape(-1, 4),
            confidence=self.scores,
            class_id=self.labels.astype(int),
            tracker_id=self.track_ids,
            data=dict(class_name=names.astype(str)),
        )

    def draw(self, image):
        """Draw them on the image that they were found in.

        Args:
            image: uint8 (H, W, 3) BGR; it is not changed.

        Returns:
            uint8 (k·H, k·W, 3) BGR, small images being enlarged, see :func:`mfdet.visualization.draw_boxes`.
        """
        from mfdet.visualization import draw_boxes

        classes = dict(zip(self.labels.tolist(), self.names, strict=True))
        return draw_boxes(image, self.boxes, self.labels, classes, self.scores, self.track_ids)


def coco_dict(images, classes, first_id=1):
    """Return what was found in images as a dict in the COCO format: images, categories, annotations.

    Args:
        images: iterable of name, width and height in pixels, and :class:`Detections`.
        classes: class names of the model; categories count them from 1.
        first_id: of the images.
    """
    entries, annotations = [], []
    for image_id, (name, width, height, found) in enumerate(images, first_id):
        entries.append(dict(id=image_id, file_name=Path(name).as_posix(), width=width, height=height))
        annotations += [
            dict(id=number, **result, area=result['bbox'][2] * result['bbox'][3], iscrowd=0)
            for number, result in enumerate(found.to_coco(image_id), len(annotations) + 1)
        ]
    categories = [dict(id=number, name=name) for number, name in enumerate(classes, 1)]
    return dict(images=entries, categories=categories, annotations=annotations)
