"""MobileViT in SSDLite, exported: softmax with background, and maps whose sides are odd for some sizes only."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope

import mfdet.register  # noqa: F401
from mfdet.commands import export
from mfdet.engine.config import load_config, set_num_classes
from mfdet.engine.inference import load_model
from mfdet.export.graph import build_graph
from mfdet.export.verify import compare
from mfdet.models import mobilevit
from mfdet.models.e2e_detector import inside
from mfdet.models.fuse import fuse
from mfdet.runtime import Detector

SIZES = torch.tensor([[320, 200], [180, 320], [97, 131]])
TINY = dict(channels=(8, 8, 12, 16, 16, 24), widths=(16, 16, 16), expand_ratio=2, feature_dim=32, dropout=0.0)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """(model, config file, checkpoint file) with random weights that find something."""
    mobilevit.MOBILEVITS['tiny'], depths, mobilevit.DEPTHS = TINY, mobilevit.DEPTHS, (1, 1, 1)
    folder = tmp_path_factory.mktemp('mobilevit')
    config = load_config('configs/small/ssdlite_mobilevit_s.py')
    config.model.backbone.arch, config.model.neck.in_channels = 'tiny', [16, 24]
    config.model.neck.out_channels = config.model.bbox_head.in_channels = [16, 16, 16]
    config.model.bbox_head.anchor_generator.update(
        strides=[16, 32, 64], ratios=[[2], [2, 3], [2]], min_sizes=[32, 83, 133], max_sizes=[83, 133, 184]
    )
    config.model.data_preprocessor.pad_size_divisor = 32
    set_num_classes(config.model, 3)
    config.model.test_cfg.update(nms_pre=50, max_per_img=40)
    config.dump(folder / 'config.py')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.bias.data.normal_(std=0.3)
    for parameter in model.bbox_head.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'checkpoint.pth')
    yield model, str(folder / 'config.py'), str(folder / 'checkpoint.pth')
    del mobilevit.MOBILEVITS['tiny']
    mobilevit.DEPTHS = depths


def test_graph_equals_the_prediction_of_mmdet_fused_or_not(trained):
    model = trained[0]
    torch.manual_seed(1)
    images = torch.rand(3, 3, 320, 320) * inside(SIZES, torch.empty(3, 3, 320, 320))
    samples = [DetDataSample(metainfo=dict(img_shape=tuple(size), scale_factor=(1.0, 1.0))) for size in SIZES.tolist()]
    other, *_ = load_model(*trained[1:])
    with torch.no_grad():
        expected = [sample.pred_instances for sample in model.predict(images, samples, rescale=False)]
        for graph in (build_graph(model), build_graph(fuse(other))):
            outputs = [output.numpy() for output in graph(images, SIZES)]
            for wanted, *found in zip(expected, *outputs, strict=True):
                used = found[1] > 0
                assert used.sum() == len(wanted) > 10
                wanted = [part.numpy() for part in (wanted.bboxes, wanted.scores, wanted.labels)]
                unmatched, *_ = compare(wanted, [part[used] for part in found], 1e-3, 1e-5)
                assert unmatched == 0


@pytest.mark.slow
def test_openvino_file_agrees_with_pytorch(trained, tmp_path, capsys):
    pytest.importorskip('openvino')
    path = tmp_path / 'detector.xml'
    assert export.main([trained[1], trained[2], '--format', 'openvino', '--output', str(path)]) == 0
    assert 'detections agree with PyTorch' in capsys.readouterr().out


@pytest.mark.slow
def test_onnx_takes_any_size(trained, tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    path = tmp_path / 'detector.onnx'
    assert export.main([trained[1], trained[2], '--format', 'onnx', '--output', str(path)]) == 0
    assert 'detections agree with PyTorch' in capsys.readouterr().out
    detector = Detector(path)
    assert (detector.metadata['model'], detector.metadata['channel_order']) == ('SingleStageDetector', 'bgr')
    graph = build_graph(trained[0])
    for height, width in ((96, 160), (320, 320), (640, 352)):  # 3×5, 10×10 and 20×11 cells at stride 32
        images = np.random.default_rng(0).random((2, 3, height, width), dtype=np.float32)
        sizes = np.array([[height, width], [height - 9, width - 33]])
        with torch.no_grad():
            expected = graph(torch.from_numpy(images), torch.from_numpy(sizes))
        np.testing.assert_allclose(detector.run(images, sizes)[1], expected[1].numpy(), atol=1e-5)
