"""The detectors that ours are compared with."""

import json
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mfdet.commands.get_flops import main
from mfdet.engine.config import load_config
from tests.helpers.head_inputs import make_samples

CONFIGS = Path(__file__).parents[2] / 'configs' / 'peers'
SMALL = sorted(path.stem for path in CONFIGS.parent.glob('small/retinanet_*.py') if 'finetune' not in path.stem)
# Published parameters in millions: RetinaNets in Table 3 of PVT (Wang et al., ICCV 2021), DETR in Table 2 of its paper.
# The backbones of the first two are checked in tests/models/test_staged.py; nobody's whole detector is at hand.
PARAMS = {
    'retinanet_shufflenetv2': None,
    'retinanet_mobilenetv3': None,
    'retinanet_r18': 21.3,
    'retinanet_r50': 37.7,
    'retinanet_pvt_tiny': 23.0,
    'detr_r50': 41.3,
    'detr_dc5_r50': 41.3,
}


def test_each_has_a_published_size():
    assert {path.stem for path in CONFIGS.glob('*.py')} == set(PARAMS)


@pytest.mark.parametrize(('name', 'params'), [item for item in PARAMS.items() if item[1]])
def test_size_is_the_published_one_within_a_hundredth(capsys, name, params):
    assert main([str(CONFIGS / f'{name}.py'), '--shape', '64', '96', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['params'] / 1e6 == pytest.approx(params, rel=0.01)


@pytest.mark.parametrize('name', SMALL)
def test_small_ones_differ_in_the_backbone_alone(name):
    config, first = (load_config(f'small/{other}').to_dict() for other in (name, 'retinanet_mf151m'))
    backbone = MODELS.build(config['model'].pop('backbone'))
    backbone.eval()
    with torch.no_grad():
        channels = [feature.shape[1] for feature in backbone(torch.randn(1, 3, 64, 64))]
    assert config['model']['neck'].pop('in_channels') == channels
    first['model'].pop('backbone')
    first['model']['neck'].pop('in_channels')
    if name.startswith('retinanet_mobilevit'):  # its released weights are for other colours
        first['model']['data_preprocessor'].update(mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=False)
    assert config == first


@pytest.mark.parametrize('name', [*PARAMS, *(f'../small/{name}' for name in SMALL)])
def test_it_trains_a_step_and_predicts(name):
    torch.manual_seed(0)
    init_default_scope('mmdet')
    model = MODELS.build(load_config(str(CONFIGS / f'{name}.py')).model)
    samples = make_samples([2, 1], shape=(64, 96))
    for sample in samples:
        sample.set_metainfo(
            dict(batch_input_shape=(64, 96), pad_shape=(64, 96), scale_factor=(1, 1), ori_shape=(64, 96))
        )
    images = torch.randn(2, 3, 64, 96)
    losses = model.train().loss(images, samples)
    total = sum(part.sum() for loss in losses.values() for part in (loss if isinstance(loss, list) else [loss]))
    total.backward()
    assert total.isfinite()
    idle = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not [name for name in idle if name.startswith('backbone')]
    with torch.no_grad():
        found = model.eval().predict(images, samples)
    assert all(len(sample.pred_instances) <= 100 for sample in found)
