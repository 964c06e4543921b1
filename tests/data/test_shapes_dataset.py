import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, METRICS
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mfdet.data.shapes import CLASSES, generate, to_coco
from mfdet.data.shapes_dataset import GenerateShapes, ShapesDataset
from mfdet.errors import InputError

SIZE = (48, 64)
PIPELINE = [
    {'type': 'GenerateShapes'},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'RandomFlip', 'prob': 1.0},
    {
        'type': 'PackDetInputs',
        'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'instances'),
    },
]


def build(**kwargs):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build({'type': 'ShapesDataset', 'image_size': SIZE, **kwargs})


def test_entries_are_those_of_the_coco_dict():
    dataset = build(length=40, seed=3)
    coco = to_coco(40, 3, SIZE)
    assert len(dataset) == 40
    annotations = []
    for image in coco['images']:
        entry = dataset.get_data_info(image['id'] - 1)
        assert (entry['img_id'], entry['height'], entry['width']) == (image['id'], 48, 64)
        assert entry['img_path'] == f'shapes/3/{image["id"] - 1}'
        for instance in entry['instances']:
            x1, y1, x2, y2 = instance['bbox']
            assert instance['ignore_flag'] == 0
            annotations.append((image['id'], instance['bbox_label'] + 1, [x1, y1, x2 - x1, y2 - y1]))
    assert annotations == [(a['image_id'], a['category_id'], a['bbox']) for a in coco['annotations']]


def test_metainfo_names_and_colours_every_class():
    dataset = build(length=1)
    assert dataset.metainfo['classes'] == CLASSES
    assert len(set(dataset.metainfo['palette'])) == len(CLASSES)


def test_pipeline_gives_the_flipped_image_and_boxes():
    packed = build(length=3, seed=5, pipeline=PIPELINE)[2]
    expected = generate(2, 5, SIZE)
    np.testing.assert_array_equal(packed['inputs'].permute(1, 2, 0).numpy(), expected.image[:, ::-1])
    sample = packed['data_samples']
    x1, y1, x2, y2 = expected.boxes.T
    np.testing.assert_array_equal(sample.gt_instances.bboxes.tensor.numpy(), np.stack([64 - x2, y1, 64 - x1, y2], 1))
    np.testing.assert_array_equal(sample.gt_instances.labels.numpy(), expected.labels)
    assert sample.img_shape == sample.ori_shape == SIZE
    assert sample.scale_factor == (1, 1)


def test_images_without_objects_are_filtered_in_training_only():
    lengths = [
        len(build(length=200, filter_cfg={'filter_empty_gt': flag}, test_mode=test_mode))
        for flag, test_mode in ((True, False), (False, False), (True, True))
    ]
    empty = 200 - len({annotation['image_id'] for annotation in to_coco(200, 0, SIZE)['annotations']})
    assert empty > 0
    assert lengths == [200 - empty, 200, 200]


def test_coco_metric_reads_the_ground_truth_without_a_file():
    dataset = build(length=60, seed=1, test_mode=True, pipeline=[t for t in PIPELINE if t['type'] != 'RandomFlip'])
    metric = METRICS.build({'type': 'CocoMetric', 'metric': 'bbox'})
    metric.dataset_meta = dataset.metainfo
    batch = pseudo_collate([dataset[index] for index in range(60)])
    for sample in batch['data_samples']:
        truth = sample.gt_instances
        sample.pred_instances = InstanceData(
            bboxes=truth.bboxes.tensor, labels=truth.labels, scores=torch.ones(len(truth.labels))
        )
    metric.process(batch, [sample.to_dict() for sample in batch['data_samples']])
    assert metric.evaluate(60)['coco/bbox_mAP'] == 1


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ({'length': 0}, 'length'),
        ({'seed': -1}, 'seed'),
        ({'image_size': 64}, 'size'),
        ({'filter_cfg': {'min_size': 32}}, 'min_size'),
        ({'metainfo': {'classes': ('ring',)}}, 'classes'),
    ],
)
def test_unusable_arguments_are_refused(arguments, word):
    with pytest.raises(InputError, match=word):
        ShapesDataset(**{'length': 2, 'image_size': SIZE, **arguments})


def test_transform_refuses_entries_of_other_data_sets():
    with pytest.raises(InputError, match='ShapesDataset'):
        GenerateShapes()({'img_path': 'a.png'})
