"""What a data set holds, counted, and what a training can hardly learn or measure with it."""

import collections
import dataclasses
import math

from mfdet.data.check import box_problem, is_id
from mfdet.values import listed

FOUND_AT = 0.4  # IoU with an anchor below which an object is background to RetinaNet, but for its best anchor
USUAL_SCALE = 4  # RetinaNet's (Lin et al., ICCV 2017); larger ones have not been tried


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a split of a data set holds.

    Attributes:
        source: what messages call it, such as its annotation file.
        images: number of images.
        with_objects: how many of them have objects.
        objects: number of objects of each class, by name in the order of the labels, then of classes that the model
            does not know. Crowds do not count.
        most: most objects in an image.
        sides: √area of the objects over the longer side of their image, where both are known.
    """

    source: str
    images: int
    with_objects: int
    objects: dict
    most: int = 0
    sides: list = dataclasses.field(default_factory=list, compare=False)

    def __str__(self):
        known = ', '.join(f'{name} {count}' for name, count in self.objects.items())
        return f'{self.images} images, {sum(self.objects.values())} objects: {known} ({self.source})'


def count_objects(content, source, classes=None):
    """Count the objects of an annotation file.

    Args:
        content: of :func:`mfdet.data.check.read_annotations`; entries that are malformed are not counted.
        source: see :class:`Counts`.
        classes: names of the model's classes; None takes those of the file, by rising id.

    Returns:
        :class:`Counts`.
    """
    names = {item['id']: item.get('name') for item in content['categories'] if isinstance(item.get('id'), int | str)}
    known = classes if classes is not None else [names[i] for i in sorted(names, key=lambda i: (isinstance(i, str), i))]
    longer = {
        item['id']: max(item['width'], item['height'])
        for item in content['images']
        if all(is_id(item.get(field)) and item[field] > 0 for field in ('id', 'width', 'height'))
    }
    objects, used, sides = collections.Counter(dict.fromkeys(known, 0)), collections.Counter(), []
    for item in content['annotations']:
        category, image, box = item.get('category_id'), item.get('image_id'), item.get('bbox')
        if isinstance(category, int | str) and category in names and not item.get('iscrowd'):
            objects[names[category]] += 1
            if isinstance(image, int | str):
                used[image] += 1
                if image in longer and box_problem(box) is None:
                    sides.append(math.sqrt(box[2] * box[3]) / longer[image])
    return Counts(source, len(content['images']), len(used), dict(objects), max(used.values(), default=0), sides)


def count_items(dataset):
    """Count the objects of a data set of mmdet that is built, see :class:`Counts`; for data that is in no file."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    labels = [[item['bbox_label'] for item in info['instances'] if not item['ignore_flag']] for info in infos]
    counts = collections.Counter(label for some in labels for label in some)
    objects = {name: counts[label] for label, name in enumerate(dataset.metainfo['classes'])}
    most = max(map(len, labels), default=0)
    return Counts(type(dataset).__name__, len(infos), sum(map(bool, labels)), objects, most)


def compare_counts(train, val, classes):
    """Return warnings about what training can hardly learn, or validation not measure; :class:`Counts` of both.

    Args:
        train: of the training.
        val: of the validation, or None if there is none.
        classes: names of the model's classes.
    """
    warnings = []
    empty = train.images - train.with_objects
    if empty > train.images / 2:
        share = f'{empty} of {train.images} images ({empty / train.images:.0%})'
        warnings.append(f'{train.source}: {share} have no objects')
    if val is None:
        return warnings
    if not any(val.objects.values()):
        return [*warnings, f'{val.source}: no image has an object, so validation measures nothing and AP is undefined']
    lacking = [name for name in classes if train.objects.get(name) and not val.objects.get(name)]
    if lacking:
        measured = sum(bool(val.objects.get(name)) for name in classes)
        warnings.append(
            f'{val.source}: no object of {listed(lacking)}, which training has; AP is averaged over {measured} of '
            f'{len(classes)} classes'
        )
    unlearnt = [name for name in classes if val.objects.get(name) and not train.objects.get(name)]
    if unlearnt:
        warnings.append(f'{train.source}: no object of {listed(unlearnt)}, which validation has; it counts as missed')
    unknown = [name for name, count in val.objects.items() if count and name not in classes]
    if unknown:
        warnings.append(f'{val.source}: {listed(unknown)} is no class of the training and is not measured')
    return warnings


def fit_warnings(counts, queries=None, cell=None, size=None, anchor=None, scale=None):
    """Return warnings about what a detector can hardly find in a data set, for its own make.

    Args:
        counts: :class:`Counts`.
        queries: object queries of an end-to-end detector, None for others.
        cell: side of a cell of the finest map in pixels.
        size: longer side of the images in training, in pixels; None if it is not known.
        anchor, scale: side of the smallest anchor in pixels and in strides of its map, None if there are none.
    """
    warnings = []
    if queries and counts.most > queries:
        warnings.append(
            f'{counts.source}: an image has {counts.most} objects and the model {queries} queries, each of which finds '
            'one; set model.bbox_head.num_queries and model.test_cfg.max_per_img'
        )
    small = sum(side * size < cell for side in counts.sides) if size else 0
    if small > len(counts.sides) / 50:
        share = f'{small} of {len(counts.sides)} objects ({small / len(counts.sides):.0%})'
        warnings.append(
            f'{counts.source}: {share} are smaller than a cell of the finest map, {cell} pixels, once images are '
            f'{size} pixels long, and hard to find; train on larger images'
        )
    if size and anchor:
        warnings += anchor_warnings(counts, size, anchor, scale)
    return warnings


def anchor_warnings(counts, size, anchor, scale):
    """Return a warning if anchors are too large for the objects of a data set, or smaller than they need to be.

    Which objects have anchors matters more than any other setting of RetinaNet here: docs/results.md. The arguments are
    those of :func:`fit_warnings`.
    """

    def missed(anchor):  # the IoU of a square with a larger one is at most the ratio of their areas
        return sum((side * size) ** 2 < FOUND_AT * anchor**2 for side in counts.sides)

    few, tiny = len(counts.sides) / 50, missed(anchor)
    option = 'model.bbox_head.anchor_generator.octave_base_scale'
    if tiny > few:
        share = f'{tiny} of {len(counts.sides)} objects ({tiny / len(counts.sides):.0%})'
        return [
            f'{counts.source}: {share} are too small for the smallest anchor, {anchor:.0f} pixels, once images are '
            f'{size} pixels long; {option}={scale / 2:g} has anchors for them'
        ]
    if counts.sides and scale < USUAL_SCALE and missed(2 * anchor) <= few:
        return [
            f'{counts.source}: hardly an object needs anchors as small as {anchor:.0f} pixels, once images are {size} '
            f'pixels long; with {option}={2 * scale:g} RetinaNet learns large ones better'
        ]
    return []
