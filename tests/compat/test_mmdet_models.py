import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

import mfdet  # noqa: F401  (lets mmdet be imported)


@pytest.fixture
def mmdet():
    """mmdet with its modules registered; the default scope is put back afterwards."""
    instances = dict(DefaultScope._instance_dict)
    importlib.import_module('mmdet.utils').register_all_modules()
    yield importlib.import_module('mmdet')
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(instances)


def build(mmdet, config):
    path = Path(mmdet.__file__).parent / '.mim' / 'configs' / config
    model = Config.fromfile(path).model
    model.backbone.init_cfg = None  # nothing is downloaded
    return importlib.import_module('mmdet.registry').MODELS.build(model)


def batch(mmdet):
    """Two random images, one of them with two objects and one with none."""
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for boxes, labels in [([[8.0, 8, 40, 56], [30, 20, 90, 60]], [3, 7]), (np.zeros((0, 4)), [])]:
        inputs.append(torch.from_numpy(rng.integers(0, 256, (3, 64, 96), dtype=np.uint8)))
        sample = importlib.import_module('mmdet.structures').DetDataSample(
            metainfo={'img_shape': (64, 96), 'ori_shape': (64, 96), 'scale_factor': (1.0, 1.0)}
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.as_tensor(boxes, dtype=torch.float32), labels=torch.as_tensor(labels, dtype=torch.long)
        )
        samples.append(sample)
    return {'inputs': inputs, 'data_samples': samples}


@pytest.mark.parametrize(
    ('config', 'losses'),
    [
        ('retinanet/retinanet_r18_fpn_1x_coco.py', {'loss_cls', 'loss_bbox'}),
        ('detr/detr_r50_8xb2-150e_coco.py', {'loss_cls', 'loss_bbox', 'loss_iou', 'd0.loss_cls'}),
    ],
)
def test_a_model_of_mmdet_trains_and_predicts(mmdet, config, losses):
    torch.manual_seed(0)
    model = build(mmdet, config).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    data = model.data_preprocessor(batch(mmdet), training=True)
    results = model(**data, mode='loss')
    assert losses <= set(results)
    loss, _ = model.parse_losses(results)
    loss.backward()
    gradients = [p.grad for p in model.bbox_head.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)
    before = torch.nn.utils.parameters_to_vector(model.bbox_head.parameters()).clone()
    optimizer.step()
    assert not torch.equal(before, torch.nn.utils.parameters_to_vector(model.bbox_head.parameters()))

    model.eval()
    if hasattr(model.bbox_head, 'retina_cls'):
        torch.nn.init.zeros_(model.bbox_head.retina_cls.bias)  # scores of about 0.5, so that there is much to suppress
    with torch.no_grad():
        predictions = model.test_step(batch(mmdet))
    for sample in predictions:
        instances = sample.pred_instances
        assert len(instances) == 100
        assert instances.bboxes.shape == (100, 4)
        assert instances.bboxes.isfinite().all()
        assert ((instances.scores > 0) & (instances.scores <= 1)).all()
        assert (instances.scores.diff() <= 0).all()
        if 'nms' in model.test_cfg:
            overlaps = importlib.import_module('mmdet.structures.bbox').bbox_overlaps(
                instances.bboxes, instances.bboxes
            )
            same_class = (instances.labels[:, None] == instances.labels).triu(diagonal=1)
            assert same_class.any()
            assert overlaps[same_class].max() < model.test_cfg.nms.iou_threshold + 1e-3
