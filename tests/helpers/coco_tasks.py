"""Random data sets with results, and what pycocotools makes of them."""

import copy
import random

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def random_box(rng):
    size = rng.choice([20, 60, 200])  # one for each of COCO's area ranges
    return [rng.uniform(0, 300), rng.uniform(0, 300), rng.uniform(0.5, 1.5) * size, rng.uniform(0.5, 1.5) * size]


def random_task(seed, images=12):
    """Ids with gaps and out of order, crowds, equal scores, images without objects or detections, an unused class."""
    rng = random.Random(seed)
    image_ids = rng.sample(range(1, 1000), images)
    categories = [
        {'id': 7, 'name': 'cat'},
        {'id': 3, 'name': 'dog'},
        {'id': 12, 'name': 'eel'},
        {'id': 5, 'name': 'fox'},
    ]
    annotations, results = [], []
    for image_id in image_ids[2:]:
        for _ in range(rng.randint(0, 8)):
            box, category_id = random_box(rng), rng.choice([7, 3, 12])
            crowd = int(rng.random() < 0.15)
            area = box[2] * box[3] * rng.uniform(0.4, 1)
            ids = {'id': 5 + 3 * len(annotations), 'image_id': image_id, 'category_id': category_id}
            annotations.append({**ids, 'bbox': box, 'area': area, 'iscrowd': crowd, 'segmentation': []})
            for _ in range(rng.randint(0, 3)):
                near = [value * rng.uniform(0.9, 1.1) for value in box]
                results.append({**ids, 'bbox': near, 'score': round(rng.random(), 1)})
                del results[-1]['id']
    for image_id in image_ids[1:5] * 30:  # more than 100 of a class in an image
        ids = {'image_id': image_id, 'category_id': rng.choice([7, 7, 7, 7, 3, 5])}
        results.append({**ids, 'bbox': random_box(rng), 'score': round(rng.random() / 2, 1)})
    rng.shuffle(results)
    dataset = {'images': [{'id': i} for i in image_ids], 'annotations': annotations, 'categories': categories}
    return dataset, results


def reference(dataset, results, category_ids=None):
    """What pycocotools itself computes: its evaluation object."""
    ground_truth = COCO()
    ground_truth.dataset = copy.deepcopy(dataset)
    ground_truth.createIndex()
    evaluation = COCOeval(ground_truth, ground_truth.loadRes(copy.deepcopy(results)), 'bbox')
    if category_ids is not None:
        evaluation.params.catIds = category_ids
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation
