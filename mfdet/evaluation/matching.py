"""Which detection finds which object, for all that looks closer than average precision does; needs no torch."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask

from mfdet.evaluation.coco import numbered

IOU = 0.5  # from which on a detection finds an object
MOST = 100  # detections of a class in an image that count, as in COCO's evaluation


@dataclass(frozen=True)
class Objects:
    """The annotated objects of all images, N of them in the order of the file; the arrays have one row for each.

    Attributes:
        image: index of the image.
        label: index of the class.
        box: float (N, 4), [x, y, width, height] in pixels.
        area: in square pixels, as annotated.
        crowd: whether it is a region of many, which is neither to be found nor missed.
        found_by: index of the detection that finds it, -1 if none.
        nearest: largest IoU with any detection, of whatever class and score.
        neighbour: largest IoU with another object of the image.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    area: np.ndarray
    crowd: np.ndarray
    found_by: np.ndarray
    nearest: np.ndarray
    neighbour: np.ndarray


@dataclass(frozen=True)
class Found:
    """The detections of all images that count, N of them by image and then by falling score.

    Attributes:
        image: index of the image.
        label: index of the class.
        box: float (N, 4), [x, y, width, height] in pixels.
        score: as in the results file.
        finds: index of the object that it finds, -1 if none: of its class, of IoU 0.5 or more, taken by no detection of
            higher score.
        ignored: whether it lies in a crowd region of its class instead, so that it is neither right nor wrong.
        same_iou, same_object: largest IoU with an object of its class, and the index of that; 0 and -1 if there is
            none.
        other_iou, other_object: the same with an object of another class.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray
    finds: np.ndarray
    ignored: np.ndarray
    same_iou: np.ndarray
    same_object: np.ndarray
    other_iou: np.ndarray
    other_object: np.ndarray

    @property
    def right(self):
        """Whether each finds an object."""
        return self.finds >= 0

    @property
    def wrong(self):
        """Whether each is a false positive."""
        return (self.finds < 0) & ~self.ignored


@dataclass(frozen=True)
class Matches:
    """Objects and detections of a data set, and which finds which at an IoU of 0.5.

    Attributes:
        classes: names; labels index it.
        image_ids: ids; ``image`` of objects and detections indexes it.
        objects: an :class:`Objects`.
        found: a :class:`Found`.
        pairs: (detections, objects, IoUs), three arrays with one entry for each detection and object that is no crowd,
            of whatever classes, that overlap by an IoU of 0.5 or more.
    """

    classes: list
    image_ids: list
    objects: Objects
    found: Found
    pairs: tuple

    @property
    def totals(self):
        """Objects to be found, for each class: int (classes,)."""
        return np.bincount(self.objects.label[~self.objects.crowd], minlength=len(self.classes))


def match(ground_truth, results, category_ids=None):
    """Match detections to objects as pycocotools does at an IoU of 0.5 over all areas.

    Within an image and class, detections choose by falling score the object of largest IoU that is still free. The
    first 100 of a class in an image count.

    Args:
        ground_truth: what :func:`mfdet.evaluation.coco.load_ground_truth` returned.
        results: what :func:`mfdet.evaluation.coco.load_results` returned.
        category_ids: the categories that count, in the order of the labels; by default all, in file order.

    Returns:
        Matches.
    """
    category_ids = list(ground_truth.cats) if category_ids is None else category_ids
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    images = {image_id: number - 1 for image_id, number in numbered(ground_truth.imgs).items()}

    def columns(entries):
        entries = [entry for entry in entries if entry['category_id'] in labels]
        image = np.array([images[entry['image_id']] for entry in entries], np.int64)
        label = np.array([labels[entry['category_id']] for entry in entries], np.int64)
        return entries, image, label, np.array([entry['bbox'] for entry in entries], float).reshape(-1, 4)

    annotations, image, label, box = columns(ground_truth.dataset['annotations'])
    area = np.array([annotation['area'] for annotation in annotations], float)
    crowd = np.array([annotation['iscrowd'] for annotation in annotations], bool)
    none = np.full(len(image), -1)
    objects = Objects(image, label, box, area, crowd, none, np.zeros(len(image)), np.zeros(len(image)))

    results, image, label, box = columns(results)
    score = np.array([result['score'] for result in results], float)
    order = _first_of_each(image, label, score)
    image, label, box, score = image[order], label[order], box[order], score[order]
    none, zeros = np.full(len(order), -1), np.zeros(len(order))
    finds, ignored, same, other = none, none > 0, none.copy(), none.copy()
    found = Found(image, label, box, score, finds, ignored, zeros, same, zeros.copy(), other)

    by_image = np.argsort(objects.image, kind='stable')
    edges = np.arange(len(images) + 1)
    object_edges = np.searchsorted(objects.image[by_image], edges)
    found_edges = np.searchsorted(found.image, edges)
    pairs = [(none[:0], none[:0], zeros[:0])]
    for i in np.unique(objects.image):  # an image without objects leaves everything as it is
        columns = by_image[object_edges[i] : object_edges[i + 1]]
        _look_at_image(objects, columns, found, slice(*found_edges[i : i + 2]), pairs)
    names = [ground_truth.cats[category_id]['name'] for category_id in category_ids]
    return Matches(names, list(images), objects, found, tuple(map(np.concatenate, zip(*pairs, strict=True))))


def _first_of_each(image, label, score):
    """Return the rows that count, the first by score of each class in an image, by image and falling score."""
    order = np.lexsort((-score, label, image))
    group = image[order] * (label.max(initial=0) + 1) + label[order]
    rank = np.arange(len(order)) - np.searchsorted(group, group)
    kept = np.sort(order[rank < MOST])  # in file order, which decides between equal scores
    return kept[np.lexsort((-score[kept], image[kept]))]


def _look_at_image(objects, columns, found, rows, pairs):
    """Fill in what concerns one image.

    Args:
        objects, found: changed in place.
        columns: indices of its objects, int (G,).
        rows: slice of its D detections.
        pairs: list to add (detections, objects, IoUs) to.
    """
    crowd, regular = objects.crowd[columns], np.flatnonzero(~objects.crowd[columns])
    box = objects.box[columns]
    between = mask.iou(box, box, np.zeros(len(columns)))
    np.fill_diagonal(between, 0)
    objects.neighbour[columns] = between.max(1)
    if rows.start == rows.stop:
        return
    iou = mask.iou(found.box[rows], box, crowd)  # (D, G); with a crowd, the share of the detection in it
    objects.nearest[columns] = iou.max(0)
    same = found.label[rows, None] == objects.label[columns]

    finds = _choose(np.where(same & ~crowd & (iou >= IOU), iou, 0))
    chosen = np.flatnonzero(finds >= 0)
    found.finds[rows][chosen] = columns[finds[chosen]]
    objects.found_by[columns[finds[chosen]]] = rows.start + chosen
    if crowd.any():
        found.ignored[rows] = (finds < 0) & ((iou >= IOU) & same & crowd).any(1)
    if not len(regular):
        return
    iou, same, columns = iou[:, regular], same[:, regular], columns[regular]
    kinds = (same, found.same_iou, found.same_object), (~same, found.other_iou, found.other_object)
    for wanted, ious, places in kinds:
        of_kind = np.where(wanted, iou, 0)
        ious[rows] = of_kind.max(1)
        places[rows] = np.where(ious[rows] > 0, columns[of_kind.argmax(1)], -1)
    row, column = np.nonzero(iou >= IOU)
    pairs.append((rows.start + row, columns[column], iou[row, column]))


def _choose(iou):
    """Return the column that each row of IoUs (D, G) takes, -1 for none; 0 marks what may not be taken."""
    taken = np.full(len(iou), -1)
    free = np.ones(iou.shape[1], bool)
    for row in np.flatnonzero(iou.any(1)):
        left = np.where(free, iou[row], 0)
        column = len(left) - 1 - left[::-1].argmax()  # the last of equal ones, as in pycocotools
        if left[column] > 0:
            taken[row] = column
            free[column] = False
    return taken
