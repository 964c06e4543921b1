"""The graphs for phones find what the graph for ONNX finds, written in the operations that XNNPACK runs as well."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mfdet.engine.config import load_config
from mfdet.errors import InputError
from mfdet.export.graph import build_graph
from mfdet.export.phone_files import KINDS, export_for_phones
from mfdet.export.phone_graph import build_phone_graph
from mfdet.export.verify import compare
from mfdet.export.xnnpack import for_xnnpack
from mfdet.models import MobileFormerClassifier
from mfdet.suppression import suppress

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def plus():
    """A small E2E-MF+ with random weights."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(load_config(CONFIGS / 'shapes' / 'e2e_plus_mf26m.py').model).eval()
    for parameter in model.bbox_head.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def agree(model, fixed_size, size, normalized=True):
    """Compare both graphs on an image of some size in a batch of the fixed size."""
    images = torch.rand(1, 3, *fixed_size, generator=torch.Generator().manual_seed(0))
    images = 4 * images - 2 if normalized else 255 * images
    images[:, :, size[0] :] = images[..., size[1] :] = 0
    sizes = torch.tensor([size])
    graph, metadata = build_phone_graph(model, normalized, 'NHWC')
    assert metadata['layout'] == 'NHWC'
    inputs = images.permute(0, 2, 3, 1), sizes.float()
    lowered = for_xnnpack(graph, torch.zeros(1, *fixed_size, 3), torch.tensor([fixed_size]).float())
    with torch.inference_mode():
        expected, *others = build_graph(model, normalized)(images, sizes), graph(*inputs), lowered(*inputs)
    expected = [output.numpy()[0] for output in expected]
    used = expected[1] > 0
    assert used.sum() > 5
    for found in others:
        assert list(found) == ['boxes', 'scores', 'labels']
        found = [output.numpy() for output in found.values()]
        if 'nms' in metadata:
            found = suppress(*found, **metadata['nms'])
        found = [output[0][found[1][0] > 0] for output in found]
        unmatched, *_ = compare([output[used] for output in expected], found, 0.01, 1e-4, used.sum())
        assert not unmatched


@pytest.mark.parametrize('normalized', [True, False], ids=['normalised', 'raw'])
def test_detections_of_a_padded_image(trained, normalized):
    agree(trained[0], (96, 128), (70, 110), normalized)


def test_detections_of_a_padded_image_by_e2e_plus(plus):
    agree(plus, (96, 128), (70, 110))
    agree(plus, (32, 32), (20, 30))  # on its map of 4×4 and smaller ones all cells become queries


def test_classifiers_are_refused():
    with pytest.raises(InputError, match='MobileFormerClassifier cannot be exported for phones'):
        build_phone_graph(MobileFormerClassifier('26m').eval())


def test_suppression_is_that_of_the_graph(trained):
    if type(trained[0]).__name__ != 'RetinaNet':
        pytest.skip('it has none')
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 60, (2, 300, 4)).astype(np.float32)
    boxes[..., 2:] = boxes[..., :2] + rng.uniform(5, 40, (2, 300, 2))
    scores, labels = rng.uniform(0, 1, (2, 300)).astype(np.float32), rng.integers(3, size=(2, 300))
    found = suppress(boxes, scores, labels, iou_threshold=0.5, score_thr=0.3, min_size=6, max_per_img=40)
    for i in range(2):
        counts = (scores[i] > 0.3) & ((boxes[i, :, 2:] - boxes[i, :, :2]) > 6).all(1)
        rows = [torch.from_numpy(x[i, counts]) for x in (boxes, scores, labels)]
        dets, kept = batched_nms(*rows, dict(type='nms', iou_threshold=0.5))
        np.testing.assert_allclose(found[0][i], dets[:40, :4].numpy())
        np.testing.assert_allclose(found[1][i], dets[:40, 4].numpy())
        np.testing.assert_array_equal(found[2][i], rows[2][kept[:40]].numpy())
    nothing = suppress(boxes, scores, labels, iou_threshold=0.5, score_thr=1.0, min_size=0, max_per_img=40)
    assert not any(output.any() for output in nothing)


def test_what_a_converter_cannot_do_is_one_sentence(trained, monkeypatch, tmp_path):
    def fails(*args):
        raise ValueError('no operation\n  of this kind')

    monkeypatch.setitem(KINDS, '.tflite', (fails, 'NHWC'))
    metadata = dict(fixed_size=[64, 64], normalized=True)
    with pytest.raises(InputError, match=r'^a\.tflite: the converter fails on this model: no operation of this kind$'):
        export_for_phones(trained[0], metadata, tmp_path / 'a.tflite')
