"""SSDLite on MobileViT: its maps, and a step of its training."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import mfdet.register  # noqa: F401
from mfdet.engine.config import load_config, set_num_classes
from mfdet.errors import InputError
from mfdet.models import SSDLiteNeck


def test_each_coarser_map_is_half_the_one_before():
    neck = SSDLiteNeck([6, 8], [16, 12, 10, 4])
    maps = neck([torch.randn(1, 6, 20, 13), torch.randn(1, 8, 10, 7)])
    assert [tuple(x.shape[1:]) for x in maps] == [(16, 20, 13), (12, 10, 7), (10, 5, 4), (4, 3, 2)]
    with pytest.raises(InputError, match='out_channels of the neck must be more than the 2 in_channels'):
        SSDLiteNeck([6, 8], [16, 12])


def test_a_step_trains_every_parameter():
    config = load_config('configs/ssdlite_mobilevit_xxs.py')
    set_num_classes(config.model, 3)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).train()
    samples = []
    for size in (40.0, 90.0, 290.0):
        sample = DetDataSample(metainfo=dict(img_shape=(320, 320), pad_shape=(320, 320), batch_input_shape=(320, 320)))
        boxes = torch.tensor([[10.0, 15, 10 + size, 15 + size], [0, 0, size / 2, 1.1 * size]])
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 2]))
        samples.append(sample)
    losses, _ = model.parse_losses(model(torch.rand(3, 3, 320, 320), samples, mode='loss'))
    losses.backward()
    assert losses.isfinite()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not still
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    levels = [conv[-1].weight.grad.abs().sum() for conv in model.bbox_head.cls_convs]
    assert torch.stack(levels).count_nonzero() == len(levels)
