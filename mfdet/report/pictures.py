"""Pictures of images and of doubtful boxes, truth beside detections."""

from dataclasses import dataclass

import cv2
import numpy as np

from mfdet.errors import InputError
from mfdet.evaluation.suspects import worst_images
from mfdet.report.text import printable
from mfdet.visualization import beside, draw_boxes

SIDE = 640  # pixels, of an image beside another
MARGIN = 1.5  # times the longer side of a doubtful box is shown around it,
LEAST = 160  # but so many pixels at least
MARK = (255, 0, 255)  # BGR, of a doubtful box


@dataclass(frozen=True)
class Picture:
    """One picture of the page.

    Attributes:
        name: of the file, below ``pictures``.
        caption: what it shows.
        data: JPEG bytes; None if the image cannot be read, which the caption then says.
    """

    name: str
    caption: str
    data: bytes | None


def draw_pictures(findings, ground_truth, read, most=30):
    """Draw the worst images and the most doubtful annotations.

    Args:
        findings: a :class:`mfdet.report.findings.Findings`.
        ground_truth: what it was made of.
        read: function from an image id to the image, uint8 (H, W, 3) BGR, which raises InputError if it cannot be read.
        most: how many of each at most.

    Returns:
        Two lists of :class:`Picture`.
    """
    matches, threshold = findings.matches, findings.at.threshold
    found, objects = matches.found, matches.objects

    def name_of(image):
        entry = ground_truth.imgs[matches.image_ids[image]]
        return printable(entry.get('file_name', f'image {entry["id"]}'))

    def picture(name, image, caption, box=None):
        caption = f'{name_of(image)}: {caption}'
        try:
            pixels = read(matches.image_ids[image])
        except InputError as error:
            return Picture(name, f'{caption}. It cannot be shown: {printable(error)}', None)
        return Picture(name, caption, cv2.imencode('.jpg', _draw(pixels, matches, image, threshold, box))[1].tobytes())

    worst = [
        picture(f'worst_{place:02}.jpg', image, f'{wrong} false positives, {missed} missed')
        for place, (image, wrong, missed) in enumerate(worst_images(matches, threshold, most), 1)
    ]
    half = max(most // 2, most - len(findings.undetected))  # if there are few of one kind, there are more of the other
    doubtful = [
        (
            found.image[row],
            f'{matches.classes[found.label[row]]} of score {found.score[row]:.2f}, largest IoU with an object '
            f'{max(found.same_iou[row], found.other_iou[row]):.2f}: is a label missing?',
            found.box[row],
        )
        for row in findings.unlabelled[:half]
    ]
    doubtful += [
        (
            objects.image[row],
            f'{matches.classes[objects.label[row]]}, largest IoU with any detection {objects.nearest[row]:.2f}: is the '
            'box right?',
            objects.box[row],
        )
        for row in findings.undetected[: most - len(doubtful)]
    ]
    drawn = [picture(f'doubtful_{place:02}.jpg', *what) for place, what in enumerate(doubtful, 1)]
    return worst, drawn


def _draw(image, matches, number, threshold, mark):
    """Return the picture of an image, or of what is around the box ``mark`` [x, y, width, height] of it."""
    height, width = image.shape[:2]
    left, top = 0, 0
    if mark is not None:
        x, y, w, h = mark
        around = max(LEAST / 2, MARGIN * max(w, h))
        left, top = (int(np.clip(value - around, 0, side - 1)) for value, side in ((x, width), (y, height)))
        right, bottom = (int(np.ceil(min(value + around, side))) for value, side in ((x + w, width), (y + h, height)))
        image = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    factor = min(1, SIDE / max(image.shape[:2]))
    if factor < 1:
        size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    image = np.ascontiguousarray(image)
    limits = np.array([image.shape[1], image.shape[0]] * 2)

    def here(boxes):
        """Boxes xyxy in the picture; what is far outside is drawn just outside."""
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        return np.clip((corners - [left, top, left, top]) * factor, -2, limits + 2)

    def inside(boxes):
        return (boxes[:, 0] < limits[0]) & (boxes[:, 1] < limits[1]) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)

    panels = []
    found, objects = matches.found, matches.objects
    shown = found.score >= threshold
    for entries, wanted, scores in ((objects, ~objects.crowd, None), (found, shown, found.score)):
        rows = np.flatnonzero((entries.image == number) & wanted)
        rows = rows[inside(here(entries.box[rows]))]
        scores = None if scores is None else scores[rows]
        panel = draw_boxes(image, here(entries.box[rows]), entries.label[rows], matches.classes, scores)
        if mark is not None:
            enlarged = panel.shape[1] / image.shape[1]
            x1, y1, x2, y2 = (round(float(value) * enlarged) for value in here(mark)[0])
            cv2.rectangle(panel, (x1 - 3, y1 - 3), (x2 + 3, y2 + 3), MARK, 2)
        panels.append(panel)
    return beside(*panels)
