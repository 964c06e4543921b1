"""A generated detection data set: shapes of six classes over textured backgrounds, without any file.

An image is a function of the arguments of :func:`generate` alone. Two independent random streams make it: the first
lays the objects out (classes, boxes), the second paints, so that annotations cost a fraction of an image. The layout
decides pixel by pixel in double precision and draws nothing, so boxes and labels are the same everywhere. Painting goes
through OpenCV, whose rounding may move pixel values by a level or two between its versions.

Conventions: images are BGR, pixel ``(row, column)`` covers ``[column, column + 1) x [row, row + 1)``, and a box is the
tight ``(x1, y1, x2, y2)`` of the pixels of its object that can be seen, as in COCO: neither what lies outside the
image nor what another object hides counts.
"""

import json
import math
import os
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mfdet.errors import InputError

CLASSES = ('ellipse', 'rectangle', 'triangle', 'star', 'cross', 'ring')
#: BGR in 0-1 that the classes tend to as ``clutter`` goes to 0.
CLASS_COLORS = np.array([(0, 0, 1), (1, 0, 0), (0, 1, 1), (0, 0.8, 0), (1, 0, 1), (1, 1, 0)])

#: An object is only placed where at least this share of its pixels, and of those of every object below it, is visible.
MIN_VISIBLE = 0.4
#: Share of images without any object.
EMPTY_SHARE = 0.04
#: Diameter of a shape's circumscribed circle as a share of the image's short side (log-uniform), and its least pixels.
DIAMETERS = (0.08, 0.5)
MIN_DIAMETER = 6
MIN_SIDE = 32

_LAYOUT, _PAINT = 0, 1
_TRIES = 8


class ShapesImage(NamedTuple):
    """``image`` uint8 (H, W, 3) BGR, ``boxes`` float32 (N, 4) xyxy in pixels, ``labels`` int64 (N,)."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


class Shape(NamedTuple):
    """One placed object.

    ``window`` cuts its square out of the image; ``level`` (<= 1 inside the shape, 1 on its edge), ``u`` and ``v`` (its
    own axes, in units of its radius) hold one value per pixel of that window. ``area`` counts the pixels of the whole
    shape, those outside the image and the hidden ones included.
    """

    label: int
    area: int
    window: tuple
    level: np.ndarray
    u: np.ndarray
    v: np.ndarray


class Layout(NamedTuple):
    """``shapes`` from the lowest to the topmost, and ``owner`` uint8 (H, W): 0, or 1 + the number of the one seen."""

    shapes: list
    owner: np.ndarray

    @property
    def labels(self):
        """Classes as int64 (N,)."""
        return np.array([shape.label for shape in self.shapes], dtype=np.int64)

    @property
    def boxes(self):
        """Tight boxes of the visible pixels as float32 (N, 4) xyxy."""
        boxes = np.empty((len(self.shapes), 4), dtype=np.float32)
        for number, shape in enumerate(self.shapes):
            rows, columns = shape.window
            visible = self.owner[shape.window] == number + 1
            x, y, width, height = cv2.boundingRect(visible.view(np.uint8))
            x, y = x + columns.start, y + rows.start
            boxes[number] = x, y, x + width, y + height
        return boxes


def generate(index, seed=0, size=(192, 192), max_objects=8, diameters=DIAMETERS, clutter=1.0):
    """Make one image with its boxes and labels.

    Args:
        index (int): Number of the image in the data set, from 0.
        seed (int): Number of the data set; give training and validation different ones.
        size (tuple[int, int]): ``(height, width)`` in pixels.
        max_objects (int): A non-empty image gets 1 to ``max_objects`` objects, fewer where no room was found.
        diameters (tuple[float, float]): Least and greatest diameter of a shape as a share of the short side.
        clutter (float): Difficulty. At 1, all textures and colours occur everywhere; towards 0, backgrounds turn grey
            and calm, shapes plain, and each class takes its own colour.

    Returns:
        ShapesImage: The image, its boxes and labels.

    Raises:
        InputError: An argument is out of range.
    """
    if not 0 <= clutter <= 1:
        raise InputError(f'clutter is {clutter}, but must be from 0 to 1')
    placed = layout(index, seed, size, max_objects, diameters)
    rng = np.random.default_rng((seed, index, _PAINT))
    image = _background(rng, *size, clutter)
    for shape in placed.shapes:
        _paint(rng, image, shape, clutter)
    return ShapesImage(_light(rng, image, clutter), placed.boxes, placed.labels)


def layout(index, seed=0, size=(192, 192), max_objects=8, diameters=DIAMETERS):
    """Place the objects of an image without painting it; arguments and errors as in :func:`generate`.

    Returns:
        Layout: The shapes with their pixels, boxes and labels.
    """
    _check(index, seed, size, max_objects, diameters)
    height, width = size
    rng = np.random.default_rng((seed, index, _LAYOUT))
    owner = np.zeros((height, width), dtype=np.uint8)
    shapes, areas, visible = [], [], np.zeros(0, dtype=np.int64)
    count = 0 if rng.random() < EMPTY_SHARE else 1 + int(rng.random() * max_objects)
    for _ in range(count):
        label, level, u, v = _shape(rng, min(size), diameters)
        inside = level <= 1
        area, half = int(inside.sum()), len(level) // 2
        for _ in range(_TRIES):
            top, left = int(rng.random() * height) - half, int(rng.random() * width) - half
            rows, own_rows = _overlap(top, len(level), height)
            columns, own_columns = _overlap(left, len(level), width)
            window, crop = (rows, columns), (own_rows, own_columns)
            pixels = inside[crop]
            seen = np.append(visible, pixels.sum())
            seen[:-1] -= np.bincount(owner[window][pixels], minlength=len(seen))[1:]
            if np.all(seen >= MIN_VISIBLE * np.array([*areas, area])):
                shapes.append(Shape(label, area, window, level[crop], u[crop], v[crop]))
                areas.append(area)
                owner[window][pixels] = len(shapes)
                visible = seen
                break
    return Layout(shapes, owner)


def to_coco(count, seed=0, size=(192, 192), name='shapes', max_objects=8, diameters=DIAMETERS):
    """Annotate images ``0 .. count - 1`` as a COCO dict; image ids, category ids and annotation ids count from 1.

    There are no segmentations, so ``area`` is that of the box. Arguments not named here are as in :func:`generate`.

    Raises:
        InputError: an argument is out of range.
    """
    if count < 1:
        raise InputError(f'count is {count}, but must be at least 1')
    if not re.fullmatch(r'[\w-]+', name):
        raise InputError(f"name is '{name}', but must consist of letters, digits, '_' and '-'")
    images, annotations = [], []
    for index in range(count):
        placed = layout(index, seed, size, max_objects, diameters)
        image_id = index + 1
        images.append({'id': image_id, 'file_name': f'{name}_{image_id:06d}.png', 'height': size[0], 'width': size[1]})
        for (x1, y1, x2, y2), label in zip(placed.boxes.tolist(), placed.labels.tolist(), strict=True):
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image_id,
                    'category_id': label + 1,
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': 0,
                }
            )
    categories = [{'id': number, 'name': class_name} for number, class_name in enumerate(CLASSES, 1)]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def write_coco(folder, count, seed=0, size=(192, 192), name='shapes', max_objects=8, diameters=DIAMETERS, clutter=1.0):
    """Write images as ``folder/images/<name>_000001.png`` and :func:`to_coco` as ``folder/annotations/<name>.json``.

    ``folder`` may be new, empty, or hold sets of other names written before. Files are moved into place once all are
    made, the annotation file last. Arguments not named here are as in :func:`generate`.

    Returns:
        Path: The annotation file.

    Raises:
        InputError: ``folder`` holds something else or this name already, or an argument is out of range.
    """
    coco = to_coco(count, seed, size, name, max_objects, diameters)
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f'{folder} is a file, but must be a folder')
    others = sorted({path.name for path in folder.glob('*')} - {'images', 'annotations'})
    if others:
        raise InputError(f"{folder} holds '{others[0]}', but must be empty or hold only 'images' and 'annotations'")
    annotations = folder / 'annotations' / f'{name}.json'
    if annotations.exists() or (folder / 'images' / coco['images'][0]['file_name']).exists():
        raise InputError(f"{folder} already holds a set named '{name}': choose another name or remove it")
    for path in (folder / 'images', folder / 'annotations'):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f'{path} cannot be made into a folder: {error.strerror}') from error
    with tempfile.TemporaryDirectory(dir=folder) as part:
        for index, record in enumerate(coco['images']):
            path = os.path.join(part, record['file_name'])
            if not cv2.imwrite(os.fsencode(path), generate(index, seed, size, max_objects, diameters, clutter).image):
                raise OSError(f'cannot write {path}')
        with open(os.path.join(part, annotations.name), 'w', encoding='utf-8') as file:
            json.dump(coco, file)
        for record in coco['images']:
            os.replace(os.path.join(part, record['file_name']), folder / 'images' / record['file_name'])
        os.replace(os.path.join(part, annotations.name), annotations)
    return annotations


def _check(index, seed, size, max_objects, diameters):
    for name, value in (('index', index), ('seed', seed)):
        if not 0 <= value < 2**32:
            raise InputError(f'{name} is {value}, but must be from 0 to 2**32 - 1')
    if not isinstance(size, (tuple, list)) or len(size) != 2 or min(size) < MIN_SIDE:
        raise InputError(f'size is {size}, but must be (height, width) of at least {MIN_SIDE} pixels each')
    if not 1 <= max_objects <= 255:
        raise InputError(f'max_objects is {max_objects}, but must be from 1 to 255')
    if len(diameters) != 2 or not 0 < diameters[0] <= diameters[1] <= 1:
        raise InputError(f'diameters is {diameters}, but must be (least, greatest) with 0 < least <= greatest <= 1')


def _overlap(start, length, limit):
    """Clip the span of ``length`` from ``start`` on to ``0 .. limit``; return its slices of the image and of itself."""
    low, high = max(start, 0), min(start + length, limit)
    return slice(low, high), slice(low - start, high - start)


def _shape(rng, short_side, diameters):
    """Draw class, scale, rotation and stretch; return the label and ``level``, ``u``, ``v`` on the shape's own grid."""
    label = int(rng.random() * len(CLASSES))
    low, high = (max(share * short_side, MIN_DIAMETER) for share in diameters)
    radius = low * (high / low) ** rng.random() / 2
    angle = 2 * math.pi * rng.random()
    stretch = 0.6 + 0.4 * rng.random()
    half = math.ceil(radius)
    x = np.arange(-half, half + 1) / radius
    y = x[:, None]
    u = math.cos(angle) * x + math.sin(angle) * y
    v = (math.cos(angle) * y - math.sin(angle) * x) / stretch
    return label, _level(CLASSES[label], u, v), u, v


def _level(name, u, v):
    """How far out each point lies in a shape of circumradius 1: at most 1 inside, 1 on the edge."""
    if name == 'ellipse':
        return np.sqrt(u * u + v * v)
    if name == 'ring':
        return np.abs(np.sqrt(u * u + v * v) - 0.775) / 0.225
    if name == 'rectangle':
        return np.maximum(np.abs(u), np.abs(v)) * math.sqrt(2)
    if name == 'cross':
        u, v, arm = np.abs(u), np.abs(v), 0.33
        reach = math.sqrt(1 - arm * arm)
        return np.minimum(np.maximum(u / reach, v / arm), np.maximum(u / arm, v / reach))
    # A regular polygon lies behind all of its edges, a five-pointed star behind all but at most one.
    corners = 3 if name == 'triangle' else 5
    first = second = np.full_like(u, -np.inf)
    for corner in range(corners):
        angle = 2 * math.pi * corner / corners
        edge = math.cos(angle) * u + math.sin(angle) * v
        second = np.maximum(second, np.minimum(first, edge))
        first = np.maximum(first, edge)
    return first / math.cos(math.pi / 3) if name == 'triangle' else second / math.cos(2 * math.pi / 5)


def _background(rng, height, width, clutter):
    """Colour a tone per pixel (noise at several scales, gradient, stripes) through a random table; add lines."""
    short_side = min(height, width)
    tone = np.zeros((1, 1), dtype=np.float32)
    for cells in (3, 8, 24, 64):
        noise = rng.random((cells * height // short_side + 1, cells * width // short_side + 1), dtype=np.float32)
        noise *= np.float32(3 * rng.random() / cells**0.5)
        tone = cv2.resize(tone, noise.shape[::-1], interpolation=cv2.INTER_CUBIC) + noise
    tone = cv2.resize(tone, (width, height), interpolation=cv2.INTER_CUBIC)
    angle = 2 * math.pi * rng.random()
    x = np.arange(width, dtype=np.float32) * np.float32(math.cos(angle) / short_side)
    y = np.arange(height, dtype=np.float32) * np.float32(math.sin(angle) / short_side)
    ramp = x + y[:, None]
    if rng.random() < 0.5:
        tone += ramp * np.float32(4 * rng.random())
    if rng.random() < 0.4:
        phase = ramp * np.float32(3 + 15 * rng.random()) + tone * np.float32(rng.random())
        tone += np.abs(phase - np.floor(phase) - np.float32(0.5)) * np.float32(1 + 4 * rng.random())
    tone = cv2.normalize(tone, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)

    spread = 30 + 130 * clutter * rng.random()
    colors = 255 * (rng.random() + rng.random(3)) / 2 + spread * (rng.random((5, 1, 3)) - 0.5)
    colors = clutter * colors + (1 - clutter) * colors.mean(-1, keepdims=True)
    steps = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_LINEAR
    table = cv2.resize(np.clip(colors, 0, 255).astype(np.uint8), (1, 256), interpolation=steps)
    image = cv2.applyColorMap(tone, table)
    if rng.random() < 0.4 * clutter:
        for _ in range(1 + int(rng.random() * 5)):
            ends = (rng.random((2, 2)) * (width, height)).astype(int).tolist()
            color = (255 * rng.random(3)).tolist()
            cv2.line(image, *ends, color, 1 + int(rng.random() * short_side / 64))
    return image


def _paint(rng, image, shape, clutter):
    """Fill the shape with a colour unlike what lies below it, half of the time textured, sometimes outlined."""
    view, inside = image[shape.window], shape.level <= 1
    below = np.array(cv2.mean(view, inside.view(np.uint8))[:3])
    candidates = 255 * (clutter * rng.random((8, 3)) + (1 - clutter) * CLASS_COLORS[shape.label])
    contrast = np.sqrt(((candidates - below) ** 2).sum(1))
    # The first that stands out enough, so that pale and strong contrasts both occur.
    enough = contrast > 150 - 50 * clutter
    choice = int(np.argmax(enough)) if enough.any() else int(contrast.argmax())
    color = candidates[choice]
    view[inside] = np.clip(color + _texture(rng, shape, inside, 0.3 * contrast[choice], clutter), 0, 255).astype(
        np.uint8
    )
    if rng.random() < 0.35:
        edge = inside & (shape.level > 0.7 + 0.2 * rng.random())
        view[edge] = (0.4 * color + 0.6 * 255 * (rng.random() < 0.5)).astype(np.uint8)


def _texture(rng, shape, inside, strength, clutter):
    """Offsets (P, 1) to the fill colour of the P pixels inside, at most ``strength`` (0-255) each; 0 if plain."""
    kind, scale, phase = rng.random(3)
    if kind < 1 - clutter / 2:
        return 0.0
    kind = (kind - 1) / clutter + 1  # 0.5 to 1
    u, v = shape.u[inside], shape.v[inside]
    if kind < 0.65:
        field = u
    elif kind < 0.8:
        field = np.sign((u * (2 + 2 * scale) + phase) % 1 - 0.5)
    elif kind < 0.9:
        field = np.sign((u * (1 + scale) + phase) % 1 - 0.5) * np.sign((v * (1 + scale) + phase) % 1 - 0.5)
    else:
        field = 2 * rng.random(len(u)) - 1
    return strength * field[:, None]


def _light(rng, image, clutter):
    """Lay a smooth colour cast and grain over the whole image."""
    height, width = image.shape[:2]
    cast = cv2.resize((255 * rng.random((4, 4, 3))).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    amount = 0.3 * clutter * rng.random()
    image = cv2.addWeighted(image, 1, cast, amount, -127.5 * amount)
    grain = np.frombuffer(rng.bytes(image.size), dtype=np.uint8).reshape(image.shape)
    amount = 0.2 * clutter * rng.random()
    return cv2.addWeighted(image, 1, grain, amount, -127.5 * amount)
