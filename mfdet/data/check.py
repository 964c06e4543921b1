"""What is wrong with a COCO data set: its annotation file by itself, and the images it names."""

import collections
import dataclasses
import math
import os

import numpy as np

from mfdet.errors import InputError
from mfdet.files import MAX_PIXELS, read_json, replacing
from mfdet.values import escaped, is_text

ERROR, WARNING = 'error', 'warning'
SIZES = ('small', 'medium', 'large')  # COCO's: areas up to 32² and 96² pixels, and above
ORIENTATION = 0x0112  # the EXIF tag


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        severity: ``'error'`` if training would fail or learn something wrong from it, else ``'warning'``.
        file: the file that it is in.
        id: what it is about, such as ``'annotation 7'``.
        what: what is wrong.
        right: what would be right.
    """

    severity: str
    file: str
    id: str
    what: str
    right: str

    def __str__(self):
        return f'{self.severity}: {self.file}: {self.id}: {self.what}; {self.right}'


def read_annotations(path):
    """Read a COCO annotation file.

    Returns:
        dict with the lists ``images``, ``annotations`` and ``categories``, all of dicts.

    Raises:
        InputError: the file is missing, no JSON, or not of this form.
    """
    content = read_json(path)
    for name in ('images', 'annotations', 'categories'):
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f'{path} is no COCO annotation file: "{name}" must be a list of objects')
    return content


def is_id(value):
    """Tell whether a value can be an id."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(number):
    """Tell whether a value is a number that a float can hold and that is finite."""
    try:
        return not isinstance(number, bool) and math.isfinite(number)
    except (TypeError, OverflowError):
        return False


def _is_file_name(value):
    """Tell whether a value can name a file; that may have bytes outside UTF-8, as lone surrogates."""
    try:
        return b'\0' not in os.fsencode(value)
    except (TypeError, UnicodeEncodeError):
        return False


def box_problem(bbox, width=None, height=None):
    """Tell what is wrong with a box.

    Args:
        bbox: as in the file, [x, y, width, height] in pixels if it is right.
        width, height: of its image in pixels; None if they are not known.

    Returns:
        None, or (severity, what, what would be right).
    """
    numbers = isinstance(bbox, list) and len(bbox) == 4
    if not numbers or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in bbox):
        return ERROR, f'bbox is {bbox!r}', 'it must be four numbers, x, y, width and height in pixels'
    if not all(map(is_finite, bbox)):
        return ERROR, f'bbox {bbox} is not finite', 'all four numbers must be'
    if max(map(abs, bbox)) > MAX_PIXELS:
        return ERROR, f'bbox {bbox} is beyond any image', f'no number may be beyond {MAX_PIXELS:.0e} pixels'
    x, y, w, h = bbox
    if 0 < min(w, h) < 1:
        return WARNING, f'bbox {bbox} is less than a pixel wide or high', 'training leaves it out'
    if w <= 0 or h <= 0:
        return ERROR, f'bbox {bbox} has no area', 'width and height must be above 0'
    if width is None or height is None:
        return None
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        return ERROR, f'bbox {bbox} is outside the image of {width}×{height}', 'it must overlap the image'
    if x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
        return WARNING, f'bbox {bbox} leaves the image of {width}×{height}', 'training clips it to the image'
    return None


def check_annotations(content, path):
    """Check an annotation file without its images.

    Args:
        content: of :func:`read_annotations`.
        path: how messages call the file.

    Returns:
        list of :class:`Problem`.
    """
    problems = []

    def found(severity, where, what, right):
        problems.append(Problem(severity, path, where, what, right))

    known = {}
    for section, entry in (('images', 'image'), ('categories', 'category'), ('annotations', 'annotation')):
        seen = known[section] = {}
        for place, item in enumerate(content[section]):
            number = item.get('id')
            if not is_id(number):
                found(ERROR, f'{section}[{place}]', f'id is {number!r}', 'it must be a whole number')
            elif number in seen:
                found(ERROR, f'{entry} {number}', f'the id is there twice in "{section}"', 'ids must differ')
            else:
                seen[number] = item
    for section, field, entry in (('images', 'file_name', 'image'), ('categories', 'name', 'category')):
        names = set()
        for item in content[section]:
            name = item.get(field)
            if not name or not (is_text(name) if entry == 'category' else _is_file_name(name)):
                found(
                    ERROR,
                    f'{entry} {item.get("id")}',
                    f'{field} is {name!r}',
                    'it must be a text without lone surrogates or nulls',
                )
            elif name in names:
                found(ERROR, f'{entry} {item.get("id")}', f'{field} {name!r} is there twice', 'they must differ')
            names.add(name if isinstance(name, str) else None)
    if not content['categories']:
        found(ERROR, 'categories', 'there are none', 'list every class as {"id": number, "name": text}')
    for image in content['images']:
        for side in ('width', 'height'):
            if not is_id(image.get(side)) or not 1 <= image[side] <= MAX_PIXELS:
                found(
                    ERROR, f'image {image.get("id")}', f'{side} is {image.get(side)!r}', 'it must be pixels, from 1 up'
                )
    for item in content['annotations']:
        where = f'annotation {item.get("id")}'
        image_id, category_id = item.get('image_id'), item.get('category_id')
        if not is_id(image_id) or image_id not in known['images']:
            found(ERROR, where, f'image_id {image_id!r} is not in "images"', 'it must be')
        if not is_id(category_id) or category_id not in known['categories']:
            found(ERROR, where, f'category_id {category_id!r} is not in "categories"', 'it must be')
        image = known['images'].get(image_id, {}) if is_id(image_id) else {}
        sides = [image.get(side) if is_id(image.get(side)) else None for side in ('width', 'height')]
        problem = box_problem(item.get('bbox'), *sides)
        if problem:
            severity, what, right = problem
            found(severity, f'{where} (image {image.get("file_name", image_id)})', what, right)
        if 'area' in item and not is_finite(item['area']):
            found(ERROR, where, f'area is {item["area"]!r}', 'it must be pixels, or be left out')
        elif item.get('area', 1) <= 0:
            found(
                WARNING,
                where,
                f'area is {item["area"]}',
                'training leaves it out; without "area" it is that of the box',
            )
        if item.get('iscrowd', 0) not in (0, 1):
            found(ERROR, where, f'iscrowd is {item["iscrowd"]!r}', 'it must be 0 or 1')
    return problems


def upright(size, orientation):
    """Return (width, height) of an image as it is shown, given its EXIF orientation or None."""
    return size[::-1] if orientation in (5, 6, 7, 8) else size


def check_image_folder(images, folder):
    """Check that a folder is the one of the images.

    Args:
        images: entries of an annotation file.
        folder: as ``--images`` names it.

    Returns:
        The entries that name a file.

    Raises:
        InputError: there is no such folder, or it has none of the files.
    """
    if not os.path.isdir(folder):
        raise InputError(f'--images {folder}: no such folder')
    named = [image for image in images if isinstance(image.get('file_name'), str)]
    if named and not any(os.path.isfile(os.path.join(folder, image['file_name'])) for image in named):
        raise InputError(
            f'--images {folder}: none of the {len(named)} images is there, such as {named[0]["file_name"]}'
        )
    return named


def check_image(image, path):
    """Check an image file against its entry.

    Args:
        image: dict with ``id``, ``width`` and ``height``.
        path: the file.

    Returns:
        None or a :class:`Problem`.
    """
    from PIL import Image, ImageFile, UnidentifiedImageError

    where = f'image {image.get("id")}'

    def problem(what, right):
        return Problem(ERROR, path, where, what, right)

    if not os.path.isfile(path):
        return problem('there is no such file', 'every image of the annotation file must be there')
    if not os.path.getsize(path):
        return problem('the file is empty', 'it must be an image')
    strict, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with Image.open(path) as file:
            size, orientation = file.size, file.getexif().get(ORIENTATION)
            file.load()
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return problem('it is no image, or one that is too large', 'JPEG, PNG, BMP, TIFF and WebP are')
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        return problem(f'it is damaged or cut short ({error})', 'copy it again')
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = strict
    shown = upright(size, orientation)
    stated = image.get('width'), image.get('height')
    if stated == shown:
        return None
    if stated == size:
        return problem(
            f'it is {size[0]}×{size[1]} as stored, but {shown[0]}×{shown[1]} upright: its EXIF entry turns it',
            'width, height and boxes must be those of the upright image',
        )
    return problem(
        f'it is {shown[0]}×{shown[1]}, the annotation file says {stated[0]}×{stated[1]}',
        'width and height must be those of the file, or the boxes are elsewhere',
    )


def summarize(content):
    """Count what a data set holds.

    Returns:
        dict: images, images without objects, objects, crowds, objects of each class and of each of COCO's size groups.
    """
    names = {item.get('id'): str(item.get('name')) for item in content['categories'] if is_id(item.get('id'))}
    classes = collections.Counter(dict.fromkeys(names.values(), 0))
    sizes = collections.Counter(dict.fromkeys(SIZES, 0))
    used = set()
    crowds = 0
    for item in content['annotations']:
        if is_id(item.get('category_id')) and item['category_id'] in names:
            classes[names[item['category_id']]] += 1
        if is_id(item.get('image_id')):
            used.add(item['image_id'])
        crowds += item.get('iscrowd', 0) == 1
        if box_problem(item.get('bbox')) is None:
            area = item['bbox'][2] * item['bbox'][3]
            sizes[SIZES[(area > 32**2) + (area > 96**2)]] += 1
    empty = sum(not is_id(image.get('id')) or image['id'] not in used for image in content['images'])
    return dict(
        images=len(content['images']),
        images_without_objects=empty,
        objects=len(content['annotations']),
        crowds=crowds,
        classes=dict(classes.most_common()),
        sizes=dict(sizes),
    )


def draw_sizes(content, path):
    """Draw how many objects there are of each size (the square root of the area, in pixels) and class; write a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    boxes = [item['bbox'] for item in content['annotations'] if box_problem(item.get('bbox')) is None]
    sides = np.sqrt([box[2] * box[3] for box in boxes])
    classes = summarize(content)['classes']
    shown = list(classes.items())[:30]
    figure = Figure(figsize=(11, max(4, 0.2 * len(shown))))  # names of classes do not overlap
    left, right = figure.subplots(1, 2)
    if len(sides):
        left.hist(sides, bins=np.geomspace(max(1e-3, sides.min()), sides.max() * 1.001 + 1e-3, 40))
    left.set(xscale='log', xlabel='size of the object, √area in pixels', ylabel='objects')
    for edge in (32, 96):
        left.axvline(edge, color='grey', linestyle='--')
    left.xaxis.set_major_locator(LogLocator(base=2))  # powers of 10 would leave one label, or none
    left.xaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    left.xaxis.set_minor_locator(NullLocator())
    left.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    right.barh(range(len(shown)), [count for _, count in shown][::-1])
    right.set_yticks(range(len(shown)), [escaped(name) for name, _ in shown][::-1], parse_math=False)
    right.set(xlabel='objects', title='' if len(shown) == len(classes) else f'the {len(shown)} commonest classes')
    figure.tight_layout()
    with replacing(path) as part:
        figure.savefig(part, dpi=100)
