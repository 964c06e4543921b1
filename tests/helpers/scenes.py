"""Small data sets made by hand: objects and detections of two classes on images, matched."""

import json

from mfdet.evaluation import coco
from mfdet.evaluation.matching import match


def box(x, size=100):
    """A square; two of 100 pixels that are 25 apart have an IoU of 0.6, 50 apart 1/3, 80 apart 1/9."""
    return [x, 0, size, size]


IMAGES = (1, 2)


def truth_of(objects, classes=('cat', 'dog')):
    """A COCO data set of (image id, class, box) or (image id, class, box, fields)."""
    annotations = [
        dict(id=i, image_id=image, category_id=classes.index(name) + 1, bbox=where, **(more[0] if more else {}))
        for i, (image, name, where, *more) in enumerate(objects, 1)
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    entries = [dict(id=i, width=400, height=300, file_name=f'{i}.png') for i in IMAGES]
    return dict(images=entries, annotations=annotations, categories=categories)


def results_of(detections, classes=('cat', 'dog')):
    """COCO results of (image id, class, box, score)."""
    return [
        dict(image_id=image, category_id=classes.index(name) + 1, bbox=where, score=score)
        for image, name, where, score in detections
    ]


def matches_of(tmp_path, objects, detections):
    """The matches of objects and detections."""
    return match(*read(tmp_path, objects, detections))


def read(tmp_path, objects, detections, classes=('cat', 'dog')):
    """Ground truth and results as the evaluation reads them."""
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(truth_of(objects, classes)))
    ground_truth = coco.load_ground_truth(path)
    return ground_truth, coco.load_results(results_of(detections, classes), ground_truth)
