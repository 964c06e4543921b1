"""Detectors from checkpoints, on the CPU in their faster form, on a GPU as CUDA graphs."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

import mfdet.register  # noqa: F401
from mfdet.detector import load_detector
from mfdet.engine import torch_detector
from mfdet.engine.config import load_config
from mfdet.export.graph import build_graph
from mfdet.models.fuse import FusedBlock


def save(folder, config):
    """Write ``config.py`` and ``model.pth`` of random weights that score differently; return the model."""
    config.dump(folder / 'config.py')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    head = model.bbox_head
    classify = getattr(head, 'retina_cls', None) or head.fc_cls or head.selection.classify
    torch.nn.init.normal_(classify.weight, std=0.05)
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'model.pth')
    return model


def test_on_the_cpu_a_checkpoint_runs_fused_and_detects_the_same(tmp_path):
    config = load_config('configs/shapes/retinanet_mf26m.py')
    config.model.backbone.arch = '96m'
    config.model.neck.in_channels = MODELS.build(dict(config.model.backbone, init_cfg=None)).out_channels
    model = save(tmp_path, config)
    detector = load_detector(tmp_path / 'model.pth', tmp_path / 'config.py')
    assert any(isinstance(module, FusedBlock) for module in detector._model.graph.modules())
    images = np.random.default_rng(0).standard_normal((2, 3, 96, 128)).astype(np.float32)
    sizes = np.array([[96, 128], [80, 100]])
    with torch.inference_mode():
        expected = build_graph(model)(torch.from_numpy(images), torch.from_numpy(sizes))
    for found, wanted in zip(detector.run(images, sizes), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-3, atol=1e-3)
    assert expected[1].std() > 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'bf16'])
@pytest.mark.parametrize('name', ['retinanet_mf26m', 'e2e_paper_mf26m', 'e2e_plus_mf26m'])
def test_on_a_gpu_it_detects_what_it_does_without_recordings_and_on_the_cpu(name, precision, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    save(tmp_path, load_config(f'configs/shapes/{name}.py'))
    files = tmp_path / 'model.pth', tmp_path / 'config.py'
    on_cpu, on_gpu = load_detector(*files), load_detector(*files, device='cuda', precision=precision)
    monkeypatch.setattr(torch_detector, 'record', lambda graph: graph)
    as_it_is = load_detector(*files, device='cuda', precision=precision)
    rng, before = np.random.default_rng(0), {}
    # As they are, recorded, replayed; a size that comes between; one that takes the place of the oldest.
    for shape in [(96, 128)] * 3 + [(64, 96), (96, 128), (64, 96), (64, 96), (128, 96), (96, 128), (96, 128)]:
        images = rng.standard_normal((2, 3, *shape)).astype(np.float32)
        sizes = np.array([shape, (60, 80)])
        found, plain, expected = (detector.run(images, sizes) for detector in (on_gpu, as_it_is, on_cpu))
        assert found[0].dtype == found[1].dtype == np.float32
        np.testing.assert_allclose(found[1], plain[1], atol=1e-3)
        np.testing.assert_allclose(found[0][:, :5], plain[0][:, :5], atol=1)
        assert shape not in before or np.abs(found[1] - before[shape]).max() > 1e-4  # no earlier batch's
        before[shape] = found[1]
        spread = expected[1].std()
        assert spread > 1e-3
        np.testing.assert_allclose(found[1], expected[1], atol=1e-3 if precision == 'fp32' else spread)
        if precision == 'fp32':
            np.testing.assert_array_equal(found[2][:, :5], expected[2][:, :5])
            np.testing.assert_allclose(found[0][:, :5], expected[0][:, :5], atol=0.05)
