import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import mfdet.register  # noqa: F401
from mfdet.engine.config import load_config
from mfdet.errors import InputError
from mfdet.models.e2e_detector import valid_mask

CONFIGS = Path(__file__).parents[2] / 'configs'
PREPROCESSOR = dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, pad_size_divisor=32)


def make_detector(neck=None, **backbone):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='E2EMobileFormer',
            neck=neck,
            data_preprocessor=PREPROCESSOR,
            backbone=dict(
                **{
                    **dict(type='MobileFormer', arch='26m', out_indices=(1, 2, 3), spatial_aware_dyrelu=True),
                    **backbone,
                }
            ),
            bbox_head=dict(
                type='MobileFormerHead',
                num_classes=5,
                in_channels=[24, 64, 96],
                channels=[32, 24, 16],
                num_blocks=[2, 1, 1],
                query_dim=32,
                num_queries=12,
                expand_ratio=2,
            ),
        )
    )
    for module in model.modules():  # random statistics, so that what is not zeroed at padding shows
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.8, 1.2)
            module.bias.data.normal_(std=0.2)
    for parameter in model.bbox_head.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def make_data(shapes, objects=2):
    generator = torch.Generator().manual_seed(1)
    inputs, samples = [], []
    for i, (height, width) in enumerate(shapes):
        inputs.append(torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8))
        boxes = torch.rand(objects, 2, 2, generator=generator).sort(1).values.flatten(1)
        instances = InstanceData(
            bboxes=boxes * torch.tensor([width, height] * 2), labels=torch.randint(5, (objects,), generator=generator)
        )
        meta = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0), img_path=f'{i}.jpg')
        samples.append(DetDataSample(gt_instances=instances, metainfo=meta))
    return dict(inputs=inputs, data_samples=samples)


SHAPES = [(96, 64), (70, 131), (33, 40)]


def test_detections_do_not_depend_on_the_rest_of_the_batch():
    model = make_detector().eval()
    data = make_data(SHAPES)
    with torch.no_grad():
        together = model.test_step(data)
        for i in range(len(SHAPES)):
            (alone,) = model.test_step(dict(inputs=[data['inputs'][i]], data_samples=[data['data_samples'][i].clone()]))
            for name in ('bboxes', 'scores'):
                actual, expected = (getattr(sample.pred_instances, name) for sample in (together[i], alone))
                torch.testing.assert_close(actual, expected, atol=1e-3 if name == 'bboxes' else 1e-5, rtol=1e-4)
            assert torch.equal(together[i].pred_instances.labels, alone.pred_instances.labels)


def test_maps_do_not_depend_on_the_padding():
    """The backbone alone: without the mask, padding does reach the maps."""
    model = make_detector().eval()
    image = torch.randn(1, 3, 70, 90)
    maps = {}
    for size in ((96, 96), (160, 128)):
        padded = torch.zeros(1, 3, *size)
        padded[..., :70, :90] = image
        sample = DetDataSample(metainfo=dict(img_shape=(70, 90)))
        with torch.no_grad():
            maps[size] = model.backbone(padded, valid=valid_mask([sample], padded)), model.backbone(padded)
    (masked, plain), (masked_more, plain_more) = maps.values()
    for i, stride in enumerate((8, 16, 32)):
        area = (..., slice(-(-70 // stride)), slice(-(-90 // stride)))
        torch.testing.assert_close(masked[i][area], masked_more[i][area], atol=1e-4, rtol=1e-4)
        assert (plain[i][area] - plain_more[i][area]).abs().max() > 1e-2


def test_valid_mask():
    samples = [DetDataSample(metainfo=dict(img_shape=shape)) for shape in ((2, 3), (4, 1))]
    mask = valid_mask(samples, torch.empty(2, 3, 4, 4))
    assert mask.shape == (2, 1, 4, 4)
    assert mask.sum((1, 2, 3)).tolist() == [6, 4]
    assert mask[0, 0, :2, :3].all()
    assert mask[1, 0, :, :1].all()
    assert valid_mask(samples[:1], torch.empty(1, 3, 2, 3)) is None


@pytest.mark.parametrize('with_cp', [False, True])
def test_a_training_step_reaches_every_parameter(with_cp):
    model = make_detector(with_cp=with_cp).train()
    data = model.data_preprocessor(make_data(SHAPES), training=True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_crowd_boxes_are_not_learned(tmp_path):
    """A COCO file with a crowd box, through the pipeline of the COCO configs."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((60, 80, 3), 127, np.uint8))
    boxes = [dict(bbox=[5, 5, 30, 30], iscrowd=0), dict(bbox=[2, 2, 70, 50], iscrowd=1)]
    content = dict(
        images=[dict(id=1, file_name='a.png', height=60, width=80)],
        categories=[dict(id=3, name='cell')],
        annotations=[dict(id=i, image_id=1, category_id=3, area=900, **box) for i, box in enumerate(boxes, 1)],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    config = Config.fromfile(CONFIGS / '_base_' / 'datasets' / 'coco_detection_e2e.py').train_dataloader.dataset
    config.update(data_root='', ann_file=str(tmp_path / 'a.json'), data_prefix=dict(img=str(tmp_path)))
    config.metainfo = dict(classes=('cell',))
    init_default_scope('mmdet')
    item = DATASETS.build(config)[0]
    model = make_detector().eval()
    data = model.data_preprocessor({name: [value] for name, value in item.items()}, training=True)
    sample = data['data_samples'][0]
    assert len(sample.gt_instances) == 1
    assert len(sample.ignored_instances) == 1
    feats = model.backbone(data['inputs'])
    with torch.no_grad():
        expected = model.bbox_head.loss(feats, [sample])
        del sample.ignored_instances
        actual = model.bbox_head.loss(feats, [sample])
    assert {name: loss.item() for name, loss in actual.items()} == {
        name: loss.item() for name, loss in expected.items()
    }


def test_tensor_mode_gives_logits_and_boxes_of_the_image():
    model = make_detector().eval()
    logits, boxes = model(torch.randn(2, 3, 64, 96), mode='tensor')
    assert logits.shape == (1, 2, 12, 6)
    assert boxes.shape == (1, 2, 12, 4)
    data = model.data_preprocessor(make_data(SHAPES))
    with torch.no_grad():
        logits, _ = model(**data, mode='tensor')
        found = model(**data, mode='predict')
    scores = logits[-1].softmax(-1)[..., :-1].max(-1).values.sort(descending=True).values
    torch.testing.assert_close(torch.stack([sample.pred_instances.scores for sample in found]), scores)


def test_what_does_not_fit_the_head_is_named():
    with pytest.raises(InputError, match='neck: an end-to-end Mobile-Former has none'):
        make_detector(neck=dict(type='FPN', in_channels=[24, 64, 96], out_channels=8, num_outs=3))
    model = load_config('configs/cpu/e2e_paper_mf26m.py').model
    model.backbone = dict(type='MobileViT', arch='xxs', out_indices=(1, 2, 3))
    with pytest.raises(InputError, match=r'backbone: .* needs a MobileFormer, .*; got MobileViT'):
        MODELS.build(model)
    with pytest.raises(InputError, match=r'out_indices must be consecutive.*\[4, 8, 32\]'):
        make_detector(out_indices=(0, 1, 3))
