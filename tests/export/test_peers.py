"""The detectors that ours are compared with, exported: DETR, and RetinaNet on backbones of mmdet."""

import copy

import pytest
import torch
from mmdet.models.detectors import DETR
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

import mfdet.register  # noqa: F401
from mfdet.engine.config import load_config
from mfdet.errors import InputError
from mfdet.export.graph import build_graph
from mfdet.export.metadata import describe
from mfdet.export.onnx import export_onnx
from mfdet.export.openvino import convert_to_openvino
from mfdet.export.verify import compare, predict, verify
from mfdet.models.e2e_detector import inside
from mfdet.runtime import Detector

SIZES = torch.tensor([[96, 70], [50, 128], [33, 40]])


def shrunk(name):
    """Return the detector of a config, made small, with random weights that find something, and the config."""
    config = load_config(name)
    model = config.model
    if model.type == 'DETR':
        model.num_queries, model.test_cfg.max_per_img = 9, 5
        model.encoder.num_layers = model.decoder.num_layers = 1
        model.backbone.update(depth=18, base_channels=8)
        model.neck.in_channels = [64]
    else:
        model.backbone.update(num_layers=[1, 1, 1, 1], embed_dims=8, num_heads=[1, 1, 2, 4])
        model.neck.update(in_channels=[8, 16, 32], out_channels=16)
        model.bbox_head.update(in_channels=16, feat_channels=16, stacked_convs=1)
        model.test_cfg.update(nms_pre=50, max_per_img=20)
    config.test_dataloader.dataset.pipeline[1].scale = (128, 96)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    detector = MODELS.build(copy.deepcopy(model)).eval()  # mmdet writes into what it builds
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.bias.data.normal_(std=0.1)
    if model.type == 'RetinaNet':
        for parameter in detector.bbox_head.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        detector.bbox_head.retina_cls.bias.data.fill_(-2.5)
    return detector, config


@pytest.mark.parametrize('name', ['peers/detr_r50', 'peers/detr_dc5_r50', 'peers/retinanet_pvt_tiny'])
def test_graph_equals_the_prediction_of_mmdet(name):
    model, _ = shrunk(name)
    images = torch.randn(3, 3, 96, 128) * inside(SIZES, torch.empty(3, 3, 96, 128))
    with torch.no_grad():
        outputs = [output.numpy() for output in build_graph(model)(images, SIZES)]
    for wanted, *found in zip(predict(model, images.numpy(), SIZES.numpy()), *outputs, strict=True):
        used = found[1] > 0
        assert used.sum() == len(wanted[1]) >= 5
        unmatched, *_ = compare(wanted, [part[used] for part in found], 1e-3, 1e-5)
        assert unmatched == 0


def test_detectors_derived_of_detr_are_refused():
    class Derived(DETR):
        """One with a decoder of its own, perhaps."""

    with pytest.raises(InputError, match='Derived cannot be exported; RetinaNet, SSD, DETR,'):
        build_graph(Derived.__new__(Derived))


@pytest.mark.slow
def test_files_of_detr_agree_with_pytorch(tmp_path):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('openvino')
    model, config = shrunk('peers/detr_r50')
    onnx, xml, metadata = tmp_path / 'detector.onnx', tmp_path / 'detector.xml', describe(model, config, None)
    export_onnx(build_graph(model), metadata, str(onnx), optimize=False)
    convert_to_openvino(str(onnx), metadata, str(xml))
    for path in (onnx, xml):
        assert verify(model, Detector(path).run, metadata, path.name)[2] == 6 * 5
