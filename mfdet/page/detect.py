"""An image through a detector once, and what is shown of it for any score and classes, without the detector."""

import dataclasses
import html
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from mfdet.runtime import Detections
from mfdet.runtime.detections import coco_dict
from mfdet.visualization import class_color

LEAST_SCORE = 0.05  # what scores less is not kept
HEADERS = ['label', 'score', 'x', 'y', 'w', 'h']  # of the table; boxes in pixels


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """An image and what a detector finds in it, with a score of 0.05 and more.

    Attributes:
        name: file name of the image.
        image: uint8 (H, W, 3) BGR.
        detections: all of them.
        model: name of the detector.
        classes: its class names.
        seconds: of preprocessing and of the model.
    """

    name: str
    image: np.ndarray
    detections: Detections
    model: str
    classes: list
    seconds: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """What is shown of :class:`Found`.

    Attributes:
        detections: those shown, best first.
        picture: uint8 (k·H, k·W, 3) BGR with their boxes.
        rows: a list for each: label, score, and x, y, w, h in pixels.
        counts: dict from class to number, most frequent first.
        coco: dict in the COCO format, of one image.
        milliseconds: dict of ``preprocessing``, ``model`` and ``drawing``.
    """

    detections: Detections
    picture: np.ndarray
    rows: list
    counts: dict
    coco: dict
    milliseconds: dict


def detect(model, model_name, image, name):
    """Run a detector on an image uint8 (H, W, 3) BGR; returns :class:`Found`.

    Raises:
        InputError: the detector cannot be run on it.
    """
    detections, *seconds = model.timed(image, LEAST_SCORE)
    return Found(name, image, detections, model_name, model.classes, tuple(seconds))


def view(found, score, classes=()):
    """Return the :class:`View` of detections with at least a score, and of some classes, or all if none are named."""
    detections = found.detections.filter(score, classes or None)
    start = time.perf_counter()
    picture = detections.draw(found.image)
    seconds = (*found.seconds, time.perf_counter() - start)
    results = detections.to_coco()
    rows = [
        [name, round(result['score'], 3), *(round(value, 1) for value in result['bbox'])]
        for name, result in zip(detections.names, results, strict=True)
    ]
    height, width = found.image.shape[:2]
    return View(
        detections,
        picture,
        rows,
        dict(Counter(detections.names).most_common()),
        coco_dict([(found.name, width, height, detections)], found.classes),
        {part: 1000 * value for part, value in zip(('preprocessing', 'model', 'drawing'), seconds, strict=True)},
    )


def stem(found):
    """Return what names of files to download begin with."""
    return f'{Path(found.name).stem}_detections'


def png(picture):
    """Return an image uint8 (H, W, 3) BGR as the bytes of a PNG file, made fast rather than small."""
    return cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def choices(shown):
    """Return the detections of a :class:`View` as (text, index) pairs, to choose one."""
    pairs = zip(shown.detections.names, shown.detections.scores, strict=True)
    return [(f'{i + 1}: {name} {score:.2f}', i) for i, (name, score) in enumerate(pairs)]


def summary(found, shown):
    """Return the line above the picture as HTML: the image, counts by class in their colours, and times."""
    height, width = found.image.shape[:2]
    colors = {name: class_color(label)[::-1] for label, name in enumerate(found.classes)}
    chips = ''.join(
        f'<span class="chip"><i style="background:rgb{colors[name]}"></i>{html.escape(name)} <b>{count}</b></span>'
        for name, count in shown.counts.items()
    )
    times = ' · '.join(f'{part} {value:.1f} ms' for part, value in shown.milliseconds.items())
    return (
        f'<div class="line"><b>{html.escape(found.name)}</b>, {width}×{height} pixels: '
        f'{len(shown.detections)} shown of {len(found.detections)} found</div>'
        f'<div class="chips">{chips or "nothing to show at this score"}</div><div class="times">{times}</div>'
    )


def table(shown):
    """Return the boxes of a :class:`View` as an HTML table."""
    head = ''.join(f'<th>{header}</th>' for header in HEADERS)
    rows = ''.join(
        f'<tr><td>{html.escape(name)}</td><td>{score:.3f}</td>{"".join(f"<td>{side:.1f}</td>" for side in box)}</tr>'
        for name, score, *box in shown.rows
    )
    caption = 'Boxes in pixels: upper left corner, width and height.'
    return f'<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def problem(error):
    """Return a sentence on what went wrong as HTML."""
    return f'<div class="problem">{html.escape(str(error))}</div>'
