"""tools/export.py, from checkpoint to files that the runtime and tools/test.py take."""

import json

import numpy as np
import pytest
import torch

from mfdet.api import load_detector
from mfdet.commands import export
from mfdet.errors import InputError
from mfdet.export.onnx import convert_to_openvino
from mfdet.models import MobileFormer
from mfdet.runtime import Detector
from mfdet.weights import read_checkpoint

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')


def run(*args):
    return export.main([str(arg) for arg in args])


@pytest.fixture(scope='module')
def onnx_file(trained, tmp_path_factory):
    """Exported with its preprocessing for RetinaNet, without for E2E-MF."""
    model, config, checkpoint = trained
    path = tmp_path_factory.mktemp('exported') / 'detector.onnx'
    inside = ['--preprocess'] if type(model).__name__ == 'RetinaNet' else []
    assert run(config, checkpoint, '--format', 'onnx', '--output', path, *inside) == 0
    assert [item.name for item in path.parent.iterdir()] == ['detector.onnx']
    return path


def test_onnx_is_dynamic_standard_and_describes_itself(onnx_file):
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain for entry in model.opset_import} <= {'', 'ai.onnx'}
    assert {node.domain for node in model.graph.node} <= {'', 'ai.onnx'}
    assert not model.functions
    images, sizes = model.graph.input
    assert [bool(axis.dim_param) for axis in images.type.tensor_type.shape.dim] == [True, False, True, True]
    assert [bool(axis.dim_param) for axis in sizes.type.tensor_type.shape.dim] == [True, False]
    metadata = json.loads({entry.key: entry.value for entry in model.metadata_props}['mfdet'])
    assert metadata['classes'] == ['round', 'long', 'flat']
    assert metadata['resize'] == dict(scale=[128, 96], keep_ratio=True)


def test_runtime_and_pytorch_agree_on_images_of_any_size(trained, onnx_file):
    model, config, checkpoint = trained
    pictures = [
        np.random.default_rng(i).integers(256, size=(*size, 3), dtype=np.uint8)
        for i, size in enumerate([(97, 130), (300, 200), (40, 41), (96, 128)])
    ]
    expected = load_detector(checkpoint, config=config)(pictures, batch_size=3)
    masked = type(model).__name__ == 'E2EMobileFormer'  # does not depend on the batch; mmdet's RetinaNet sees padding
    actual = Detector(onnx_file)(pictures, batch_size=2 if masked else 3)
    for a, e in zip(actual, expected, strict=True):
        assert len(e) > 0
        np.testing.assert_allclose(a.scores, e.scores, atol=1e-4)
        np.testing.assert_allclose(a.boxes, e.boxes, atol=1e-2)
        assert a.names == e.names


@pytest.mark.parametrize(('half', 'tolerance'), [(False, 1e-4), (True, 0.02)])
def test_openvino_from_the_same_graph(trained, onnx_file, tmp_path, half, tolerance):
    pytest.importorskip('openvino')
    metadata = Detector(onnx_file).metadata
    convert_to_openvino(str(onnx_file), metadata, str(tmp_path / 'detector.xml'), half)
    assert sorted(item.name for item in tmp_path.iterdir()) == ['detector.bin', 'detector.xml']
    detector = Detector(tmp_path / 'detector.xml')
    assert detector.metadata == metadata
    picture = np.random.default_rng(0).integers(256, size=(80, 100, 3), dtype=np.uint8)
    expected = Detector(onnx_file)(picture)
    np.testing.assert_allclose(detector(picture).scores[:5], expected.scores[:5], atol=tolerance)


def test_weights_load_back_everywhere(trained, tmp_path):
    model, config, checkpoint = trained
    path = tmp_path / 'weights.safetensors'
    assert run(config, checkpoint, '--format', 'weights', '--output', path) == 0
    stored = read_checkpoint(path)
    assert set(stored['state_dict']) == set(model.state_dict())
    assert stored['meta']['dataset_meta']['classes'] == ['round', 'long', 'flat']
    picture = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
    by_itself, with_config = load_detector(path)(picture), load_detector(checkpoint, config=config)(picture)
    np.testing.assert_array_equal(by_itself.boxes, with_config.boxes)
    backbone = tmp_path / 'backbone.safetensors'
    assert run(config, checkpoint, '--format', 'weights', '--backbone-only', '--output', backbone) == 0
    fresh = MobileFormer('26m', init_cfg=dict(type='Pretrained', checkpoint=str(backbone)))
    fresh.init_weights()
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, model.backbone.state_dict()[name])


def test_a_checkpoint_cannot_ask_for_foreign_code(trained, tmp_path):
    _, config, checkpoint = trained
    path = tmp_path / 'weights.safetensors'
    assert run(config, checkpoint, '--format', 'weights', '--output', path) == 0
    stored = read_checkpoint(path)
    described = stored['meta']['mfdet']
    described['config']['model']['backbone'] = dict(type='os.system', command='touch hacked')
    evil = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=stored['state_dict'], meta=dict(mfdet=described)), evil)
    with pytest.raises(InputError, match=r"evil\.pth: its config asks for 'os\.system'"):
        load_detector(evil)
    with pytest.raises(InputError, match='holds no config'):
        load_detector(checkpoint)


def test_a_failed_check_leaves_no_file(trained, tmp_path, monkeypatch, capsys):
    _, config, checkpoint = trained

    def fail(*args, **kwargs):
        raise InputError('detector.onnx differs from the PyTorch model')

    monkeypatch.setattr('mfdet.export.onnx.export_onnx', lambda graph, metadata, path: open(path, 'w').close())
    monkeypatch.setattr('mfdet.runtime.Detector', lambda path: type('Nothing', (), {'run': None}))
    monkeypatch.setattr('mfdet.export.verify.verify', fail)
    assert run(config, checkpoint, '--format', 'onnx', '--output', tmp_path / 'detector.onnx') == 2
    assert 'differs from the PyTorch model' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (['--format', 'onnx', '--output', 'a.xml'], 'a.xml: a file of format onnx ends in .onnx'),
        (['--format', 'onnx', '--output', 'nowhere/a.onnx'], 'its folder must exist'),
        (['--format', 'onnx', '--output', 'a.onnx', '--fp16'], '--fp16 goes with --format openvino'),
        (['--format', 'weights', '--output', 'a.safetensors', '--preprocess'], '--preprocess goes with'),
        (['--format', 'onnx', '--output', 'a.onnx', '--backbone-only'], '--backbone-only goes with --format weights'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(capsys, options, says):
    assert run('config.py', 'checkpoint.pth', *options) == 2
    assert says in capsys.readouterr().err
