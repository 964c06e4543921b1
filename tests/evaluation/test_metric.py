import mfdet  # noqa: F401  first, as mmdet may need its compat

# isort: split
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from mfdet.errors import InputError
from mfdet.evaluation import coco
from mfdet.evaluation.metric import MfdetCocoMetric

CLASSES = ('cat', 'dog', 'eel')
IDS = {'eel': 1, 'cat': 5, 'dog': 2}  # neither the file's order nor the ids' order is that of CLASSES
KEYS = ['bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75', 'bbox_mAP_s', 'bbox_mAP_m', 'bbox_mAP_l']
STATS = ['AP', 'AP50', 'AP75', 'APs', 'APm', 'APl']


@pytest.fixture
def task(tmp_path):
    """A COCO file, the data samples of its images with detections near the objects, and these as COCO results.

    Every image has objects of all classes but is detected the better, the lower the class; one image has no detections.
    """
    rng = np.random.default_rng(0)
    images, annotations, samples, results = [], [], [], []
    for image_id in (40, 7, 23, 9):
        images.append({'id': image_id, 'width': 400, 'height': 300})
        labels = np.repeat([0, 1, 2], 3)
        corner, size = rng.uniform(0, 200, (9, 2)), rng.uniform(8, 120, (9, 2))
        boxes = np.concatenate([corner, corner + size], 1)
        instances = []
        for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
            x1, y1, x2, y2 = box
            crowd = int(rng.random() < 0.1)
            instances.append({'bbox': box, 'bbox_label': label, 'ignore_flag': crowd})
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image_id,
                    'category_id': IDS[CLASSES[label]],
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': crowd,
                }
            )
        shift = rng.uniform(0, 0.1, (9, 1)) * (labels[:, None] + 0.5) * np.tile(size, 2)
        prediction = InstanceData(
            bboxes=torch.tensor(boxes + shift, dtype=torch.float32),
            scores=torch.tensor(rng.random(9), dtype=torch.float32),
            labels=torch.tensor(labels),
        )[: 0 if image_id == 9 else 9]
        meta = {'img_id': image_id, 'ori_shape': (300, 400), 'instances': instances}
        samples.append(DetDataSample(metainfo=meta, pred_instances=prediction))
        for box, score, label in zip(
            prediction.bboxes.tolist(), prediction.scores.tolist(), prediction.labels.tolist(), strict=True
        ):
            x1, y1, x2, y2 = box
            ids = {'image_id': image_id, 'category_id': IDS[CLASSES[label]]}
            results.append({**ids, 'bbox': [x1, y1, x2 - x1, y2 - y1], 'score': score})
    categories = [{'id': number, 'name': name} for name, number in IDS.items()]
    path = tmp_path / 'gt.json'
    path.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    return str(path), samples, results


def run(samples, classes=CLASSES, **options):
    """Evaluate as a validation loop does; the metric comes out of the registry."""
    evaluator = Evaluator(METRICS.build({'type': 'MfdetCocoMetric', **options}))
    evaluator.dataset_meta = {'classes': classes}
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(len(samples))


def expected(path, results, **options):
    ground_truth = coco.load_ground_truth(path)
    return coco.evaluate(ground_truth, coco.load_results(results, ground_truth), **options)


def without_detections(samples):
    samples = [sample.clone() for sample in samples]
    for sample in samples:
        sample.pred_instances = sample.pred_instances[:0]
    return samples


def test_numbers_are_those_of_the_command_unrounded(task):
    path, samples, results = task
    metrics = run(samples, ann_file=path)
    stats = expected(path, results).stats
    assert list(metrics) == [f'coco/{key}' for key in KEYS]
    assert list(metrics.values()) == [stats[name] for name in STATS]
    assert 0.1 < metrics['coco/bbox_mAP'] < 0.9
    assert metrics['coco/bbox_mAP'] != round(metrics['coco/bbox_mAP'], 3)


def test_classes_go_by_name_whatever_the_order_in_the_file(task):
    path, samples, results = task
    per_class = {row['name']: row['AP'] for row in expected(path, results).per_class}
    assert per_class['cat'] > per_class['dog'] > per_class['eel'] > 0
    metrics = run(samples, ann_file=path, classwise=True)
    assert list(metrics)[6:] == [f'coco/{name}_precision' for name in CLASSES]
    assert {name: metrics[f'coco/{name}_precision'] for name in CLASSES} == per_class


def test_some_of_the_files_classes(task):
    path, samples, results = task
    dogs = [sample.clone() for sample in samples]
    for sample in dogs:
        sample.pred_instances = sample.pred_instances[sample.pred_instances.labels == 1]
        sample.pred_instances.labels[:] = 0
    metrics = run(dogs, classes=('dog',), ann_file=path)
    assert metrics['coco/bbox_mAP'] == expected(path, results, category_ids=[IDS['dog']]).stats['AP']


def test_ground_truth_from_the_data_samples(task):
    path, samples, _ = task
    assert run(samples, classwise=True) == pytest.approx(run(samples, ann_file=path, classwise=True), abs=1e-12)


def test_ground_truth_of_the_data_samples_is_taken_anew_in_each_evaluation(task):
    _, samples, _ = task
    evaluator = Evaluator(MfdetCocoMetric())
    evaluator.dataset_meta = {'classes': CLASSES}
    for part in (samples[:1], samples):
        evaluator.process(part)
        metrics = evaluator.evaluate(len(part))
        assert metrics == run(part)


def test_faster_evaluator(task):
    pytest.importorskip('faster_coco_eval', reason='faster-coco-eval is not installed')
    path, samples, _ = task
    assert run(samples, ann_file=path, evaluator='faster') == pytest.approx(run(samples, ann_file=path), abs=1e-9)


@pytest.mark.parametrize('from_file', [True, False])
def test_no_detections_are_zero(task, from_file):
    path, samples, _ = task
    metrics = run(without_detections(samples), ann_file=path if from_file else None)
    assert metrics == {f'coco/{key}': 0.0 for key in KEYS}


def test_no_objects_are_undefined(task):
    _, samples, _ = task
    for sample in samples:
        sample.set_metainfo({'instances': []})
    assert set(run(samples).values()) == {-1.0}


def test_images_not_processed_count_as_missed_with_a_warning(task, monkeypatch):
    path, samples, results = task
    warnings = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, message: warnings.append(message))
    metrics = run(samples, ann_file=path)
    assert warnings == []
    partial = run(samples[:2], ann_file=path)
    assert warnings == [f'{path}: 2 of 4 images were not processed, their objects count as missed']
    seen = [result for result in results if result['image_id'] in (40, 7)]
    assert partial['coco/bbox_mAP'] == expected(path, seen).stats['AP'] < metrics['coco/bbox_mAP']


def test_class_that_the_file_lacks_is_said_before_anything_is_processed(task):
    path, _, _ = task
    evaluator = Evaluator(MfdetCocoMetric(path))
    with pytest.raises(InputError, match=r"gt\.json: categories lack the dataset's class 'fox'"):
        evaluator.dataset_meta = {'classes': ('cat', 'fox')}


def test_results_file_has_the_original_ids(task, tmp_path):
    path, samples, results = task
    metrics = run(samples, ann_file=path, outfile_prefix=str(tmp_path / 'new' / 'val'))
    assert os.listdir(tmp_path / 'new') == ['val.bbox.json']
    written = json.loads((tmp_path / 'new' / 'val.bbox.json').read_text())
    assert written == results
    assert expected(path, written).stats['AP'] == metrics['coco/bbox_mAP']


def test_ground_truth_is_written_beside_the_results(task, tmp_path):
    _, samples, _ = task
    metrics = run(samples, outfile_prefix=str(tmp_path / 'new' / 'val'))
    assert sorted(os.listdir(tmp_path / 'new')) == ['val.bbox.json', 'val.gt.json']
    stats = expected(str(tmp_path / 'new' / 'val.gt.json'), str(tmp_path / 'new' / 'val.bbox.json')).stats
    assert stats['AP'] == metrics['coco/bbox_mAP']


def test_format_only_needs_no_annotations_and_only_writes(task, tmp_path):
    path, samples, results = task
    dataset = json.loads(Path(path).read_text())
    del dataset['annotations']
    (tmp_path / 'images.json').write_text(json.dumps(dataset))
    options = {'ann_file': str(tmp_path / 'images.json'), 'outfile_prefix': str(tmp_path / 'test')}
    assert run(samples, format_only=True, **options) == {}
    assert json.loads((tmp_path / 'test.bbox.json').read_text()) == results
    with pytest.raises(InputError, match="no list 'annotations'"):
        run(samples, **options)


@pytest.mark.parametrize('field', ['scores', 'bboxes'])
def test_detections_that_are_not_finite_are_refused_and_not_written(task, tmp_path, field):
    path, samples, _ = task
    samples[0].pred_instances[field][2] = float('nan')
    with pytest.raises(InputError, match=r'^results\[2\]: .* finite number'):
        run(samples, ann_file=path, outfile_prefix=str(tmp_path / 'new' / 'val'))
    assert os.listdir(tmp_path / 'new') == []


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'metric': 'segm'}, "metric must be 'bbox', not 'segm'"),
        ({'evaluator': 'slow'}, "evaluator must be 'pycocotools' or 'faster', not 'slow'"),
        ({'format_only': True}, 'format_only needs outfile_prefix'),
        ({'ann_file': 'none.json'}, r'none\.json: cannot be read'),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(InputError, match=message):
        MfdetCocoMetric(**options)


def test_options_of_mmdets_config_are_taken(task):
    path, samples, _ = task
    mmdets = {'metric': 'bbox', 'format_only': False, 'backend_args': None}
    assert run(samples, ann_file=path, **mmdets) == run(samples, ann_file=path)
