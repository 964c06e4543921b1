"""Time of the COCO evaluation: faster-coco-eval against pycocotools, on generated detections."""

import json
import os
import tempfile

import numpy as np

from mfdet.benchmark.timing import by_turns
from mfdet.evaluation.coco import evaluate, load_ground_truth, load_results

COLUMNS = ('evaluator', 'seconds', 'pycocotools / this', 'AP')


def generate(images, classes, seed=0):
    """Return a COCO ground truth and detections: about 7 objects and 50 detections an image, partly shifted objects."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image in range(1, images + 1):
        count = rng.integers(1, 14)
        corners, sides = rng.uniform(0, 400, (count, 2)), rng.uniform(8, 200, (count, 2))
        labels = rng.integers(1, classes + 1, count)
        for box, label in zip(np.concatenate([corners, sides], 1), labels, strict=True):
            item = dict(image_id=image, category_id=int(label))
            area = float(box[2] * box[3])
            annotations.append(dict(item, id=len(annotations) + 1, bbox=box.tolist(), area=area, iscrowd=0))
            shifted = box + rng.normal(0, 0.1, 4) * np.repeat(box[2:], 2).reshape(2, 2).T.flatten()
            detections.append(dict(item, bbox=[*shifted[:2], *np.abs(shifted[2:])], score=float(rng.uniform(0.3, 1))))
        for box in rng.uniform(8, 300, (max(0, 50 - count), 4)):
            label = int(rng.integers(1, classes + 1))
            detections.append(
                dict(image_id=image, category_id=label, bbox=box.tolist(), score=float(rng.uniform(0, 0.5)))
            )
    truth = dict(
        images=[dict(id=i, width=640, height=640, file_name=f'{i}.jpg') for i in range(1, images + 1)],
        categories=[dict(id=i, name=f'class {i}') for i in range(1, classes + 1)],
        annotations=annotations,
    )
    return truth, detections


def measure_evaluation(images, classes, repeats):
    """Time both evaluators by turns.

    Args:
        images, classes: size of the generated data.
        repeats: timed evaluations of each.

    Returns:
        Rows with the keys of :data:`COLUMNS`, and notes.
    """
    truth, detections = generate(images, classes)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'truth.json')
        with open(path, 'w') as file:
            json.dump(truth, file)
        ground_truth = load_ground_truth(path)
    results = load_results(detections, ground_truth)
    names = 'pycocotools', 'faster'
    scores = {name: evaluate(ground_truth, results, name).stats['AP'] for name in names}
    functions = {name: lambda name=name: evaluate(ground_truth, results, name) for name in names}
    seconds = by_turns(functions, repeats, warmup=0)
    rows = [
        {
            'evaluator': 'faster-coco-eval' if name == 'faster' else name,
            'seconds': seconds[name],
            'pycocotools / this': seconds['pycocotools'] / seconds[name],
            'AP': scores[name],
        }
        for name in names
    ]
    return rows, [
        f'{images} images, {classes} classes, {len(truth["annotations"])} objects, {len(detections)} detections.'
    ]
