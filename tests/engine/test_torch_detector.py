"""Detectors from checkpoints, on the CPU in their faster form."""

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

import mfdet.register  # noqa: F401
from mfdet.detector import load_detector
from mfdet.engine.config import load_config
from mfdet.export.graph import build_graph
from mfdet.models.fuse import FusedBlock


def test_on_the_cpu_a_checkpoint_runs_fused_and_detects_the_same(tmp_path):
    config = load_config('configs/shapes/retinanet_mf26m.py')
    config.model.backbone.arch = '96m'
    config.model.neck.in_channels = MODELS.build(dict(config.model.backbone, init_cfg=None)).out_channels
    config.dump(tmp_path / 'config.py')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    torch.nn.init.normal_(model.bbox_head.retina_cls.weight, std=0.05)  # scores that differ
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'model.pth')

    detector = load_detector(tmp_path / 'model.pth', tmp_path / 'config.py')
    assert any(isinstance(module, FusedBlock) for module in detector._model.graph.modules())
    images = np.random.default_rng(0).standard_normal((2, 3, 96, 128)).astype(np.float32)
    sizes = np.array([[96, 128], [80, 100]])
    with torch.inference_mode():
        expected = build_graph(model)(torch.from_numpy(images), torch.from_numpy(sizes))
    for found, wanted in zip(detector.run(images, sizes), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-3, atol=1e-3)
    assert expected[1].std() > 0.01
