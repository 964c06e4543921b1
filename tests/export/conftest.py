"""Small detectors with random weights that do find something, as checkpoint and config files."""

import json

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mfdet.register  # noqa: F401
from mfdet.data.shapes import write_coco
from mfdet.models.mobile_former import ARCHS

HEADER = """
custom_imports = dict(imports=['mfdet.register'], allow_failed_imports=False)
default_scope = 'mmdet'
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'img_shape', 'ori_shape', 'scale_factor')),
]
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='MfdetCocoDataset', data_root='', ann_file='', data_prefix=dict(img=''), test_mode=True,
                 pipeline=pipeline))
test_evaluator = dict(type='MfdetCocoMetric', ann_file='')
test_cfg = dict(type='TestLoop')
preprocessor = dict(type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                    bgr_to_rgb=True, pad_size_divisor=32)
"""
E2E = """
model = dict(
    type='E2EMobileFormer', data_preprocessor=preprocessor,
    backbone=dict(type='MobileFormer', arch='tiny', out_indices=(1, 2, 3), spatial_aware_dyrelu=True),
    bbox_head=dict(type='MobileFormerHead', num_classes=3, in_channels=[24, 64, 96], channels=[32, 24, 16],
                   num_blocks=[1, 1, 1], query_dim=32, num_queries=15, expand_ratio=2),
    test_cfg=dict(max_per_img=10))
"""
RETINANET = """
model = dict(
    type='RetinaNet', data_preprocessor=preprocessor,
    backbone=dict(type='MobileFormer', arch='tiny', out_indices=(1, 2, 3)),
    neck=dict(type='FPN', in_channels=[24, 64, 96], out_channels=16, num_outs=5, add_extra_convs='on_output'),
    bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1,
        anchor_generator=dict(type='AnchorGenerator', octave_base_scale=2, scales_per_octave=2, ratios=[0.5, 1.0],
                              strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True), loss_bbox=dict(type='L1Loss')),
    train_cfg=dict(assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4), allowed_border=-1,
                   sampler=dict(type='PseudoSampler'), pos_weight=-1),
    test_cfg=dict(nms_pre=50, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20))
"""
# One block of each kind at least, and half as many as 26m has: the exporter's time goes with them.
TINY = dict(
    ARCHS['26m'],
    stages=(
        (),
        (('L', 12, 3),),
        (('D', 24, 6, 4), ('B', 24, 3)),
        (('D', 64, 6, 4),),
        (('D', 96, 6, 4),),
    ),
)
CLASSES = ['round', 'long', 'flat']


@pytest.fixture(scope='session', params=[E2E, RETINANET], ids=['e2e', 'retinanet'])
def trained(request, tmp_path_factory):
    """(model, config file, checkpoint file)."""
    ARCHS['tiny'] = TINY  # here, as other tests go through the paper's variants when they are collected
    folder = tmp_path_factory.mktemp('trained')
    (folder / 'config.py').write_text(HEADER + request.param)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(folder / 'config.py').model).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.bias.data.normal_(std=0.1)
    for parameter in model.bbox_head.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    if 'RetinaHead' in request.param:
        model.bbox_head.retina_cls.bias.data.fill_(-2.5)
    path = folder / 'checkpoint.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), path)
    yield model, str(folder / 'config.py'), str(path)
    del ARCHS['tiny']


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """Options that name a data set of six images of three sizes, with the classes of the trained models."""
    folder = tmp_path_factory.mktemp('data')
    for i, size in enumerate([(96, 128), (130, 90), (50, 60)]):
        write_coco(folder, 2, i, size, f'part{i}')
    parts = [json.loads((folder / 'annotations' / f'part{i}.json').read_text()) for i in range(3)]
    images, annotations = [], []
    for i, part in enumerate(parts):
        images += [dict(image, id=image['id'] + 10 * i) for image in part['images']]
        annotations += [
            dict(item, id=item['id'] + 100 * i, image_id=item['image_id'] + 10 * i, category_id=item['category_id'] % 3)
            for item in part['annotations']
        ]
    categories = [dict(id=i, name=name) for i, name in enumerate(['round', 'long', 'flat'])]
    (folder / 'all.json').write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return ['--data-root', folder, '--val-ann', 'all.json', '--val-images', 'images']
