"""Drawing boxes onto images, with OpenCV alone."""

import colorsys

import cv2
import numpy as np

from mfdet.values import escaped

MIN_SIDE = 320  # smaller images are enlarged by whole factors, so that labels stay readable,
MAX_SIDE = 4000  # but not beyond this


def class_color(label):
    """Return a BGR colour for a class, well apart for neighbouring labels."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.618 % 1, 0.85, 0.95)  # golden ratio: never close to the last ones
    return int(255 * blue), int(255 * green), int(255 * red)


def draw_boxes(image, boxes, labels, classes, scores=None, ids=None):
    """Draw boxes with their class and, if given, number and score.

    Args:
        image: uint8 (H, W, 3) BGR; it is not changed.
        boxes: (N, 4) xyxy in pixels of the image.
        labels: N class indices.
        classes: class names.
        scores: N scores in [0, 1], or None. Boxes of higher score are drawn over those of lower.
        ids: N numbers of tracked objects, -1 for none, or None.

    Returns:
        uint8 (k·H, k·W, 3) BGR, where k is the least whole factor that makes the short side at least 320 pixels
        while the long one stays within 4000.
    """
    factor = max(1, min(-(-MIN_SIDE // min(image.shape[:2])), MAX_SIDE // max(image.shape[:2])))
    canvas = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    thickness = max(1, round(min(canvas.shape[:2]) / 300))
    font = cv2.FONT_HERSHEY_SIMPLEX, 0.4 * max(1, min(canvas.shape[:2]) / 480)
    order = range(len(boxes)) if scores is None else np.argsort(scores, kind='stable')
    for i in order:
        x1, y1, x2, y2 = (round(float(value) * factor) for value in boxes[i])
        x2, y2 = min(x2, canvas.shape[1] - 1), min(y2, canvas.shape[0] - 1)  # or the side at the edge is not seen
        color = class_color(int(labels[i]))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color, thickness)
        number = '' if ids is None or ids[i] < 0 else f' #{ids[i]}'
        text = escaped(classes[int(labels[i])]) + number + ('' if scores is None else f' {float(scores[i]):.2f}')
        (width, height), base = cv2.getTextSize(text, *font, 1)
        x = min(max(x1, 0), max(canvas.shape[1] - width, 0))
        y = y1 - base if y1 - height - base >= 0 else y1 + height + base
        cv2.rectangle(canvas, (x, y - height - base // 2), (x + width, y + base), color, -1)
        dark = sum(color) < 380
        cv2.putText(canvas, text, (x, y), *font, (255, 255, 255) if dark else (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def beside(truth, detections):
    """Put two pictures (H, W, 3) of one image side by side, titled; returns (H + 24, 2·W + 6, 3)."""
    gap = np.full((truth.shape[0] + 24, 6, 3), 255, np.uint8)
    return np.hstack([titled(truth, 'ground truth'), gap, titled(detections, 'detections')])


def titled(image, title):
    """Put a line of text above an image (H, W, 3); returns (H + 24, W, 3)."""
    bar = np.full((24, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, title, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, image])


def contact_sheet(images, columns):
    """Tile images (H, W, 3), left to right and down, on white; smaller ones stand at the top left of their cell."""
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    rows = -(-len(images) // columns)
    gap = 8
    sheet = np.full((rows * (height + gap), columns * (width + gap), 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    return sheet
