"""Clips of generated shapes (:mod:`mfdet.data.shapes`) that move, cross and hide each other, with known tracks."""

from typing import NamedTuple

import numpy as np

from mfdet.data.shapes import MIN_VISIBLE, Layout, Shape, ShapesImage, _background, _light, _overlap, _paint, _shape

DIAMETERS = (0.2, 0.4)
#: Share of the short side that an object moves in a frame.
SPEEDS = (0.005, 0.02)
_SET, _GRAIN = 2, 3  # streams of random numbers, beside those of single images


class Sprite(NamedTuple):
    """A painted shape (S, S, 3) on its own grid (S, S), and in pixels where its corner starts and how it moves."""

    label: int
    level: np.ndarray
    pixels: np.ndarray
    start: np.ndarray
    speed: np.ndarray

    def corner(self, frame, size):
        """Return row and column of the upper left corner in a frame; it turns back at the borders of the image."""
        room = np.array(size) - len(self.level)
        way = (self.start + frame * self.speed) % (2 * room)
        return np.rint(room - abs(way - room)).astype(int)


def frames(count, seed=0, size=(192, 192), objects=4, diameters=DIAMETERS, speeds=SPEEDS, clutter=0.25):
    """Make the frames of a clip.

    Args:
        count: number of frames.
        seed: number of the clip.
        size: height and width in pixels.
        objects: number of objects; the later ones pass in front.
        diameters: least and greatest diameter as a share of the short side.
        speeds: least and greatest way in a frame as a share of the short side.
        clutter: difficulty from 0 to 1, see :func:`mfdet.data.shapes.generate`.

    Yields:
        A :class:`mfdet.data.shapes.ShapesImage` and the numbers of its objects, int64 (N,) from 1 up. An object of
        which less than :data:`mfdet.data.shapes.MIN_VISIBLE` can be seen is not among them.
    """
    rng = np.random.default_rng((seed, 0, _SET))
    background = _background(rng, *size, clutter)
    sprites = [_sprite(rng, background, size, diameters, speeds, clutter) for _ in range(objects)]
    for frame in range(count):
        image, owner, shapes = background.copy(), np.zeros(size, np.uint8), []
        for number, sprite in enumerate(sprites, 1):
            (top, left), side = sprite.corner(frame, size), len(sprite.level)
            rows, own_rows = _overlap(top, side, size[0])
            columns, own_columns = _overlap(left, side, size[1])
            inside = sprite.level[own_rows, own_columns] <= 1
            owner[rows, columns][inside] = number
            image[rows, columns][inside] = sprite.pixels[own_rows, own_columns][inside]
            shapes.append(
                Shape(sprite.label, int((sprite.level <= 1).sum()), (rows, columns), sprite.level, None, None)
            )
        layout = Layout(shapes, owner)
        visible = np.bincount(owner.ravel(), minlength=objects + 1)[1:]
        seen = visible >= MIN_VISIBLE * np.array([shape.area for shape in shapes])
        image = _light(np.random.default_rng((seed, 0, _GRAIN)), image, clutter)
        yield ShapesImage(image, layout.boxes[seen], layout.labels[seen]), 1 + np.flatnonzero(seen)


def _sprite(rng, background, size, diameters, speeds, clutter):
    label, level, u, v = _shape(rng, min(size), diameters)
    pixels = np.empty((*level.shape, 3), np.uint8)
    pixels[:] = background.mean((0, 1))
    whole = slice(0, len(level))
    _paint(rng, pixels, Shape(label, 0, (whole, whole), level, u, v), clutter)
    start = rng.random(2) * (np.array(size) - len(level))
    angle, speed = 2 * np.pi * rng.random(), min(size) * rng.uniform(*speeds)
    return Sprite(label, level, pixels, start, speed * np.array([np.sin(angle), np.cos(angle)]))
