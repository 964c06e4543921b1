"""Prediction in 16 bits, here on the CPU."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.runner.amp import autocast as mmengine_autocast

import mfdet.register  # noqa: F401
from mfdet.benchmark.detectors import build_detector
from mfdet.engine.find_config import find_config
from mfdet.engine.precision import check_precision, predict_in, store_weights
from mfdet.errors import InputError

NAMES = 'shapes/retinanet_mf26m', 'shapes/e2e_paper_mf26m', 'shapes/e2e_plus_mf26m', 'cpu/detr_r50'


def build(name):
    torch.manual_seed(0)
    return build_detector(find_config(name))


def predict(model, images):
    sample = DetDataSample(metainfo=dict(img_shape=(64, 96), batch_input_shape=(64, 96), scale_factor=(1, 1)))
    with torch.no_grad(), mmengine_autocast(enabled=False):  # as mmengine's loop calls it
        return model(images, [sample], mode='predict')[0].pred_instances


@pytest.mark.parametrize('name', NAMES)
def test_a_model_computes_in_16_bits_and_predicts_in_float32(name):
    images = torch.randn(1, 3, 64, 96)
    model = build(name)
    if name.startswith('shapes/retinanet'):
        model.test_cfg.score_thr = 0
    plain = predict(model, images)
    predict_in(model, 'bf16')
    found = predict(model, images)
    assert found.bboxes.dtype == found.scores.dtype == torch.float32
    assert not torch.equal(found.scores, plain.scores)
    torch.testing.assert_close(found.scores.sort().values, plain.scores.sort().values, rtol=0, atol=0.03)


def test_in_float32_nothing_changes():
    model = build('shapes/e2e_mf26m')
    forward = model.forward
    predict_in(model, 'fp32')
    assert model.forward == forward
    assert {parameter.dtype for parameter in store_weights(model, 'fp32').parameters()} == {torch.float32}


def test_stored_weights_are_those_that_autocast_casts():
    model = store_weights(build('shapes/e2e_plus_mf26m'), 'bf16')
    assert model.bbox_head.selection.classify.weight.dtype == torch.bfloat16
    assert model.bbox_head.selection.norm.weight.dtype == torch.float32
    predict_in(model, 'bf16')
    assert predict(model, torch.randn(1, 3, 64, 96)).bboxes.isfinite().all()


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (('fp8', 'cuda'), "precision: must be one of fp32, fp16, bf16, got 'fp8'"),
        (('fp16', 'cpu'), 'fp16 is for a checkpoint on a GPU'),
    ],
)
def test_mistakes(options, says):
    with pytest.raises(InputError, match=says):
        check_precision(*options)
