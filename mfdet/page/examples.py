"""Images to begin with: those of a folder, or generated ones."""

import itertools
import os
from pathlib import Path

import cv2

from mfdet.data.shapes import generate
from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES, images_below, write_file
from mfdet.page.uploads import read_upload

MOST = 12  # of a folder
GENERATED = 6
SEED = 7  # shapes as large as those of configs/shapes, but none of its images
THUMBNAIL = 160  # long side, in pixels


def make_examples(folder, source=None):
    """Return the paths of example images and of their thumbnails, in the same order.

    Args:
        folder: where generated images and thumbnails are written.
        source: folder whose first images, by name, are the examples; None for generated ones.

    Raises:
        InputError: ``source`` is no folder, or holds no images that can be read.
    """
    paths = _of_folder(source) if source is not None else _generated(Path(folder))
    examples, thumbnails = [], []
    for path in paths:
        try:
            image = read_upload(path)
        except InputError:
            continue  # whoever asks for it on the page would get the sentence
        factor = THUMBNAIL / max(image.shape[:2])
        size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
        thumbnails.append(os.path.join(folder, f'example_{len(examples)}.png'))
        write_file(thumbnails[-1], cv2.imencode('.png', cv2.resize(image, size, interpolation=cv2.INTER_AREA))[1])
        examples.append(path)
        if len(examples) == MOST:
            break
    if not examples:
        raise InputError(f'--examples {source}: none of its images can be read')
    return examples, thumbnails


def _of_folder(source):
    if not os.path.isdir(source):
        raise InputError(f'--examples {source}: no such folder')
    paths = images_below(source)
    if not paths:
        raise InputError(f'--examples {source}: holds no images, files that end in {", ".join(IMAGE_SUFFIXES)}')
    return paths


def _generated(folder):
    paths = []
    for index in itertools.count():
        made = generate(index, SEED, (160, 240), max_objects=7, diameters=(0.2, 0.42), clutter=0.25)
        if len(made.labels) < 4:
            continue
        paths.append(str(folder / f'shapes_{index + 1}.png'))
        write_file(paths[-1], cv2.imencode('.png', made.image)[1])
        if len(paths) == GENERATED:
            return paths
