"""tools/export.py, from checkpoint to files that the runtime and tools/test.py take."""

import argparse
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from mfdet.benchmark.quantized import speed_ratio
from mfdet.checksum import stamp
from mfdet.commands import export, test
from mfdet.commands._precision import write_lower
from mfdet.detector import load_detector
from mfdet.errors import InputError
from mfdet.export.calibration import Batches, calibration_images
from mfdet.export.graph import build_graph
from mfdet.export.openvino import convert_to_openvino, for_bfloat16, quantize_openvino
from mfdet.export.quantize import quantize_onnx, quantized_nodes
from mfdet.export.quantized_layers import convolutions
from mfdet.layers.pyramid import Tower
from mfdet.models import MobileFormer
from mfdet.runtime import Detector, read_image
from mfdet.runtime.openvino_core import openvino_core
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
    assert re.fullmatch('mfdet-crc32:[0-9a-f]{8}', metadata['checksum'])  # that it is right, the runtime says


def test_weights_that_are_not_finite_do_not_find_nothing(onnx_file, tmp_path):
    model = onnx.load(onnx_file)
    tensor = next(item for item in model.graph.initializer if item.name.endswith('stem.conv.weight'))
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0, 0, 0, 0] = np.nan
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / 'nan.onnx')
    stamp(tmp_path / 'nan.onnx')
    with pytest.raises(InputError, match=r'nan\.onnx: gives scores or boxes that are not finite'):
        Detector(tmp_path / 'nan.onnx')(np.full((90, 120, 3), 99, np.uint8))


@pytest.mark.parametrize('shape', [(160, 192), (64, 384), (288, 320)])
def test_larger_images_than_the_exporter_saw(trained, onnx_file, shape):
    """Levels whose map had one row in the exporter's example have several here."""
    model = trained[0]
    images, sizes = torch.rand(2, 3, *shape) * 255, torch.tensor([shape, shape])
    found = Detector(onnx_file).run(images.numpy(), sizes.numpy())
    with torch.inference_mode():
        expected = build_graph(model, normalized=type(model).__name__ != 'RetinaNet')(images, sizes)
    assert expected[1].max() > 0
    np.testing.assert_allclose(found[1], expected[1].numpy(), atol=1e-4)


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


@pytest.mark.parametrize('batch_size', [1, 4])
def test_the_test_command_finds_the_same_with_either_file(trained, onnx_file, data, tmp_path, batch_size):
    _, config, checkpoint = trained
    found = {}
    for backend, path in (('torch', checkpoint), ('onnx', onnx_file)):
        out = tmp_path / f'{backend}.json'
        options = ['--backend', backend, '--batch-size', batch_size, '--out', out, '--work-dir', tmp_path / 'work']
        assert test.main([str(arg) for arg in [config, path, *data, *options]]) == 0
        found[backend] = sorted(json.loads(out.read_text()), key=lambda item: (item['image_id'], -item['score']))
    assert len(found['torch']) > 30
    for actual, expected in zip(found['onnx'], found['torch'], strict=True):
        assert (actual['image_id'], actual['category_id']) == (expected['image_id'], expected['category_id'])
        assert actual['score'] == pytest.approx(expected['score'], abs=1e-4)
        assert actual['bbox'] == pytest.approx(expected['bbox'], abs=0.02)


def test_backend_and_file_must_fit(trained, onnx_file, capsys):
    _, config, checkpoint = trained
    assert test.main([config, checkpoint, '--backend', 'onnx']) == 2
    assert '--backend onnx runs a .onnx file' in capsys.readouterr().err


def calibration(data, metadata):
    return Batches(calibration_images(data[1] / 'images'), metadata)


def test_int8_of_onnxruntime_keeps_what_is_found(onnx_file, data, tmp_path):
    source, path = Detector(onnx_file), tmp_path / 'int8.onnx'
    written = dict(source.metadata, precision='int8')
    nodes = quantize_onnx(str(onnx_file), str(path), written, calibration(data, source.metadata))
    model = onnx.load(path)
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    convolutions, depthwise = [], []
    for node in model.graph.node:
        if node.op_type == 'Conv':
            sources = [made_by.get(name) for name in node.input[:2]]  # of its input and its weights
            group = next(attribute.i for attribute in node.attribute if attribute.name == 'group')
            (depthwise if group > 1 else convolutions).append(sources)
    assert nodes > 10
    assert convolutions.count(['DequantizeLinear', 'DequantizeLinear']) == nodes
    assert {weights for _, weights in depthwise} == {None}  # in float, of the file
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count('QuantizeLinear') >= nodes / 2  # a map is quantised once for all that read it
    picture = read_image(sorted((data[1] / 'images').iterdir())[0])
    quantized = Detector(path)
    assert quantized.metadata == written
    assert quantized(picture).scores[0] == pytest.approx(source(picture).scores[0], abs=0.1)


def test_layers_of_onnxruntime_that_stay_in_float(onnx_file):
    model = onnx.load(onnx_file)
    weights = {node.name: node.input[1] for node in model.graph.node if node.op_type == 'Conv'}
    every = quantized_nodes(model)
    left = [name for name in every if not weights[name].startswith('model.bbox_head.')]
    assert 0 < len(left) < len(every)
    assert quantized_nodes(model, ['bbox_head']) == left
    with pytest.raises(
        InputError, match=r'--float-layers bbox_hea: no layer in INT8 has this name.*layers are backbone'
    ):
        quantized_nodes(model, ['bbox_hea'])


def test_layers_of_openvino_that_stay_in_float(onnx_file, data, tmp_path):
    openvino = pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    metadata = Detector(onnx_file).metadata
    source, path = (str(tmp_path / name) for name in ('float.xml', 'int8.xml'))
    convert_to_openvino(str(onnx_file), metadata, source)
    layers = convolutions(openvino.Core().read_model(source))
    kept = [layer for layer in layers if layer.startswith('bbox_head.')]
    assert 0 < len(kept) < len(layers)
    count = quantize_openvino(source, path, metadata, calibration(data, metadata), ['bbox_head', kept[0]])
    assert count == sum(len(layers[layer]) for layer in layers if layer not in kept)
    in_float = convolutions(openvino.Core().read_model(path))  # those in INT8 have no names of layers left
    assert {layer: in_float.get(layer) for layer in kept} == {layer: layers[layer] for layer in kept}
    assert not set(in_float) & (set(layers) - set(kept))


def test_int8_of_openvino_is_small_and_keeps_what_is_found(onnx_file, data, tmp_path):
    openvino = pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    metadata = Detector(onnx_file).metadata
    convert_to_openvino(str(onnx_file), metadata, str(tmp_path / 'float.xml'))
    path, written = tmp_path / 'int8.xml', dict(metadata, precision='int8')
    count = quantize_openvino(str(tmp_path / 'float.xml'), str(path), written, calibration(data, metadata))
    assert count > 10
    model = openvino.Core().read_model(path)
    sources = {
        kind: {op.input_value(1).get_node().get_type_name() for op in model.get_ops() if op.get_type_name() == kind}
        for kind in ('Convolution', 'GroupConvolution')
    }
    assert sources['Convolution'] == {'Multiply'}  # of INT8 weights and their scales
    assert 'Multiply' not in sources['GroupConvolution']
    assert (tmp_path / 'int8.bin').stat().st_size < 0.6 * (tmp_path / 'float.bin').stat().st_size
    picture = read_image(sorted((data[1] / 'images').iterdir())[0])
    quantized = Detector(path)
    assert quantized.metadata == written
    assert quantized(picture).scores[0] == pytest.approx(Detector(onnx_file)(picture).scores[0], abs=0.1)
    model.reshape(dict(images=[2, 3, 64, 96], sizes=[2, 2]))  # constants are folded then
    openvino.Core().compile_model(model, 'CPU')


def test_bfloat16_is_asked_for_by_the_metadata(onnx_file, tmp_path, monkeypatch):
    pytest.importorskip('openvino')
    metadata = Detector(onnx_file).metadata
    convert_to_openvino(str(onnx_file), metadata, str(tmp_path / 'float.xml'))
    for_bfloat16(str(tmp_path / 'float.xml'), str(tmp_path / 'b.xml'), dict(metadata, precision='bf16'))
    for_bfloat16(str(tmp_path / 'float.xml'), str(tmp_path / 'c.xml'), dict(metadata, precision='int8-bf16'))
    for_bfloat16(str(tmp_path / 'float.xml'), str(tmp_path / 'd.xml'), dict(metadata, precision='int8'))
    core, hints = openvino_core(), []

    class Recorder:
        read_model = staticmethod(core.read_model)

        @staticmethod
        def compile_model(model, device, options):
            hints.append(options['INFERENCE_PRECISION_HINT'])
            return core.compile_model(model, device, options)

    monkeypatch.setattr('mfdet.runtime.detector.openvino_core', Recorder)
    for name in ('float.xml', 'b.xml', 'c.xml', 'd.xml'):
        Detector(tmp_path / name)
    assert hints == ['f32', 'bf16', 'bf16', 'f32']


def test_int8_of_openvino_needs_no_depthwise_convolutions(tmp_path):
    pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    weights = onnx.numpy_helper.from_array(np.random.default_rng(0).random((8, 3, 3, 3), np.float32), 'w')
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, None, None, None]) for name in 'xy')
    graph = onnx.helper.make_graph([onnx.helper.make_node('Conv', ['x', 'w'], ['y'])], 'g', [x], [y], [weights])
    opset = onnx.helper.make_opsetid('', 17)
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[opset]), tmp_path / 'm.onnx')
    inputs = [dict(x=np.ones((1, 3, 8, 8), np.float32))]
    assert quantize_openvino(str(tmp_path / 'm.onnx'), str(tmp_path / 'm.xml'), dict(version='0'), inputs) == 1


def test_int8_of_openvino_keeps_what_a_group_norm_makes_of_a_map(tmp_path):
    openvino = pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    torch.manual_seed(0)
    tower, x = Tower(16, 2).eval(), torch.randn(1, 16, 24, 24)
    valid = torch.ones(1, 1, 24, 24, dtype=torch.bool)
    source, path = (str(tmp_path / name) for name in ('float.xml', 'int8.xml'))
    openvino.save_model(openvino.convert_model(tower, example_input=(x, valid)), source, compress_to_fp16=False)
    inputs = dict(zip(('x', 'valid'), (x.numpy(), valid.numpy()), strict=True))
    assert quantize_openvino(source, path, dict(version='0'), [inputs]) == 2
    found = openvino.Core().compile_model(path, 'CPU')(inputs)[0]
    expected = tower(x, valid).detach().numpy()
    assert np.abs(found - expected).mean() < 0.1 * np.abs(expected).mean()


def test_bfloat16_that_this_cpu_does_not_compute_in_is_kept_by_force_alone(monkeypatch, capsys):
    for name in ('for_bfloat16', 'computes_in_bfloat16'):
        monkeypatch.setattr(f'mfdet.export.openvino.{name}', lambda *args: False)
    assert export.main(['c.py', 'c.pth', '--format', 'openvino', '--precision', 'bf16', '--output', 'a.xml']) == 2
    assert '--precision bf16: this CPU does not compute in bfloat16' in capsys.readouterr().err
    args = argparse.Namespace(output='a.xml', precision='bf16', force=True)
    assert 'float32, as this CPU does not compute in bfloat16' in write_lower(args, None, {}, 'model.xml', 'lower.xml')


def test_the_ratio_is_of_the_first_to_the_second(monkeypatch):
    monkeypatch.setattr('mfdet.benchmark.quantized.Detector', lambda path, threads: argparse.Namespace(run=len))
    monkeypatch.setattr('mfdet.benchmark.quantized.by_turns', lambda functions, repeats: dict(lower=2.0, source=4.0))
    assert speed_ratio('lower', 'source', dict(resize=None)) == 0.5


def test_a_fixed_size_that_the_test_data_does_not_fit_is_said_at_once(trained, data, capsys):
    _, config, checkpoint = trained
    inside = ['--format', 'onnx', '--precision', 'int8', '--calibration', data[1] / 'images', '--fixed-size', 64, 64]
    assert run(config, checkpoint, '--output', 'a.onnx', *inside, *data) == 2
    error = capsys.readouterr().err
    assert 'a.onnx: takes images of 64×64 alone' in error
    assert 'tracing' not in error


@pytest.fixture
def int8_arguments(trained, onnx_file, data, monkeypatch):
    """Arguments of an export in INT8 whose file in float32 is there already."""
    _, config, checkpoint = trained
    monkeypatch.setattr(
        'mfdet.export.onnx.export_onnx', lambda graph, metadata, path, optimize: shutil.copy(onnx_file, path)
    )
    inside = ['--preprocess'] if not Detector(onnx_file).metadata['normalized'] else []
    options = ['--format', 'onnx', '--precision', 'int8', '--calibration', data[1] / 'images', *inside, *data]
    return [config, checkpoint, *options]


def test_a_lower_precision_that_loses_too_much_or_gains_nothing_is_not_written(
    int8_arguments, tmp_path, monkeypatch, capsys
):
    measured = dict(aps=iter([0.5, 0.48, 0.5, 0.495, 0.5, 0.495, 0.5, 0.495]), ratios=iter([1.2, 1.2, 0.7]))
    monkeypatch.setattr('mfdet.benchmark.quantized.score', lambda path, config: next(measured['aps']))

    def ratio(first, second, metadata):
        assert [Detector(path).metadata.get('precision') for path in (first, second)] == ['int8', None]
        return next(measured['ratios'])

    monkeypatch.setattr('mfdet.benchmark.quantized.speed_ratio', ratio)
    assert run(*int8_arguments, '--output', tmp_path / 'a.onnx') == 2
    assert 'AP falls from 0.5000 to 0.4800 in int8, by more than --max-drop 1.0' in capsys.readouterr().err
    assert run(*int8_arguments, '--output', tmp_path / 'a.onnx') == 2
    assert 'int8 takes 1.20 of the time of float32 on this CPU, so it brings no speed' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert run(*int8_arguments, '--output', tmp_path / 'a.onnx', '--force') == 0
    assert run(*int8_arguments, '--output', tmp_path / 'b.onnx') == 0
    assert 'AP 0.5000 in float32, 0.4950 in int8; 0.70 of the time of float32' in capsys.readouterr().out
    assert sorted(item.name for item in tmp_path.iterdir()) == ['a.onnx', 'b.onnx']
    assert Detector(tmp_path / 'b.onnx').metadata['precision'] == 'int8'


def test_a_file_in_int8_that_does_not_run_has_the_name_of_the_output(int8_arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        'mfdet.commands._precision.write_lower', lambda args, model, metadata, source, path: open(path, 'x').close()
    )
    monkeypatch.setattr('mfdet.benchmark.quantized.score', lambda path, config: Detector(path))
    assert run(*int8_arguments, '--output', tmp_path / 'cells.onnx') == 2
    assert re.search(r'^error: [^ ]*cells.onnx: ', capsys.readouterr().err, re.MULTILINE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('half', 'tolerance'), [(False, 1e-4), (True, 0.02)])
def test_openvino_from_the_same_graph(trained, onnx_file, tmp_path, half, tolerance):
    pytest.importorskip('openvino')
    metadata = Detector(onnx_file).metadata
    convert_to_openvino(str(onnx_file), metadata, str(tmp_path / 'detector.xml'), half)
    assert sorted(item.name for item in tmp_path.iterdir()) == ['detector.bin', 'detector.xml']
    assert '&quot;mfdet-crc32:' in (tmp_path / 'detector.xml').read_text()
    detector = Detector(tmp_path / 'detector.xml')
    assert detector.metadata == metadata
    picture = np.random.default_rng(0).integers(256, size=(80, 100, 3), dtype=np.uint8)
    expected = Detector(onnx_file)(picture)
    np.testing.assert_allclose(detector(picture).scores[:5], expected.scores[:5], atol=tolerance)


def test_a_fixed_size_takes_smaller_images_and_batches(trained, onnx_file, tmp_path, capsys):
    pytest.importorskip('openvino')
    model, config, checkpoint = trained
    path = tmp_path / 'fixed.xml'
    assert run(config, checkpoint, '--format', 'openvino', '--output', path, '--fixed-size', 128, 160) == 0
    assert 'agree with PyTorch' in capsys.readouterr().out
    detector = Detector(path)
    assert detector.metadata['fixed_size'] == [128, 160]
    pictures = [
        np.random.default_rng(i).integers(256, size=(*size, 3), dtype=np.uint8)
        for i, size in enumerate([(80, 100), (60, 300), (300, 60)])
    ]
    found = detector(pictures, batch_size=3)
    assert all(len(item) for item in found)
    tall = found[2].boxes
    assert tall[:, 2].max() <= 60
    assert 100 < tall[:, 3].max() <= 300
    if type(model).__name__ == 'E2EMobileFormer':  # masks padding, so the size it is padded to makes no difference
        expected = Detector(onnx_file)(pictures[:2])
        for one, other in zip(found, expected, strict=False):
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    with pytest.raises(InputError, match=r'takes images of 128×160 .* at most, got 160×128'):
        detector.run(np.zeros((1, 3, 160, 128)), [[160, 128]])


def test_weights_load_back_everywhere(trained, tmp_path):
    model, config, checkpoint = trained
    path = tmp_path / 'weights.safetensors'
    assert run(config, checkpoint, '--format', 'weights', '--output', path) == 0
    stored = read_checkpoint(path)
    assert set(stored['state_dict']) == set(model.state_dict())
    assert stored['meta']['dataset_meta']['classes'] == ['round', 'long', 'flat']
    assert stored['meta']['mfdet']['checksum'].startswith('mfdet-crc32:')
    picture = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
    by_itself, with_config = load_detector(path)(picture), load_detector(checkpoint, config=config)(picture)
    np.testing.assert_array_equal(by_itself.boxes, with_config.boxes)
    half = tmp_path / 'half.safetensors'
    assert run(config, checkpoint, '--format', 'weights', '--precision', 'fp16', '--output', half) == 0
    assert half.stat().st_size < 0.6 * path.stat().st_size
    weights = read_checkpoint(half)['state_dict']
    for name, value in model.state_dict().items():
        halved = value.ndim > 1 and value.is_floating_point()
        assert weights[name].dtype == (torch.float16 if halved else value.dtype)
        torch.testing.assert_close(weights[name].to(value.dtype), value, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(load_detector(half)(picture).scores, by_itself.scores, atol=0.01)
    backbone = tmp_path / 'backbone.safetensors'
    assert run(config, checkpoint, '--format', 'weights', '--backbone-only', '--output', backbone) == 0
    fresh = MobileFormer('tiny', init_cfg=dict(type='Pretrained', checkpoint=str(backbone)))
    fresh.init_weights()
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, model.backbone.state_dict()[name])


def nested(described, path, value):
    """Set an entry of a stored config; path names the keys below ``config``."""
    *above, last = path
    for key in above:
        described = described.setdefault(key, {})
    described[last] = value


@pytest.mark.parametrize(
    ('path', 'value', 'says'),
    [
        (['model', 'backbone'], dict(type='os.system', command='touch hacked'), "asks for 'os.system' as 'backbone'"),
        (['model', 'backbone', 'type'], 'nms', "asks for 'nms' as 'backbone'"),
        (['model', 'backbone', '_scope_'], 'nms', "has '_scope_' in 'backbone'"),
        (['model', 'backbone', 'init_cfg'], dict(type='Pretrained', checkpoint='x'), "has 'init_cfg' in 'backbone'"),
        (['model', 'bbox_head', 'extra'], [dict(type='AnchorGenerator')], "asks for 'AnchorGenerator' as 'extra'"),
        (['model', 'type'], None, "asks for None as 'model'"),
        (['model'], 'RetinaNet', 'holds no config'),
        (['pipeline'], 'Resize', 'must be a list'),
        (['pipeline'], ['Resize'], 'must be a dict'),
        (['pipeline'], [dict(type='LoadProposals')], "asks for 'LoadProposals' as 'pipeline'"),
        (['model', 'backbone', 'arch'], 'huge', 'arch must be one of'),
        (['model', 'backbone', 'wrong_option'], 1, 'its model cannot be built'),
        (['model', 'data_preprocessor', 'mean'], None, 'holds_anything'),
    ],
)
def test_a_checkpoint_can_name_only_what_mfdet_is_made_of(trained, tmp_path, path, value, says):
    _, config, checkpoint = trained
    file = tmp_path / 'weights.safetensors'
    assert run(config, checkpoint, '--format', 'weights', '--output', file) == 0
    stored = read_checkpoint(file)
    described = stored['meta']['mfdet']
    nested(described['config'], path, value)
    evil = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=stored['state_dict'], meta=dict(mfdet=described)), evil)
    with pytest.raises(InputError, match=r'evil\.pth' if says == 'holds_anything' else says):
        load_detector(evil)


def test_weights_without_a_config_say_so(trained):
    with pytest.raises(InputError, match='holds no config'):
        load_detector(trained[2])


def test_a_failed_check_leaves_no_file(trained, tmp_path, monkeypatch, capsys):
    _, config, checkpoint = trained

    def fail(*args, **kwargs):
        raise InputError('detector.onnx differs from the PyTorch model')

    monkeypatch.setattr(
        'mfdet.export.onnx.export_onnx', lambda graph, metadata, path, optimize: open(path, 'w').close()
    )
    monkeypatch.setattr('mfdet.runtime.Detector', lambda path: type('Nothing', (), {'run': None}))
    monkeypatch.setattr('mfdet.export.verify.verify', fail)
    assert run(config, checkpoint, '--format', 'onnx', '--output', tmp_path / 'detector.onnx') == 2
    assert 'differs from the PyTorch model' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_finds_nothing_is_compared_without_its_threshold(trained, tmp_path, monkeypatch, capsys):
    model, config, checkpoint = trained
    if 'score_thr' not in model.test_cfg:
        pytest.skip('queries have no threshold')
    written, compared = [], iter([0, 7])

    def write(source, metadata, path, half):
        for name in (path, path.replace('.xml', '.bin')):
            open(name, 'w').close()

    def check(model, run, metadata, name, **tolerances):
        written.append((run, model.test_cfg.score_thr, model.bbox_head.test_cfg.score_thr))
        return 0.0, 0.0, next(compared)

    monkeypatch.setattr(
        'mfdet.export.onnx.export_onnx', lambda graph, metadata, path, optimize: open(path, 'w').close()
    )
    monkeypatch.setattr('mfdet.export.openvino.convert_to_openvino', write)
    monkeypatch.setattr('mfdet.runtime.Detector', lambda path: type('Nothing', (), {'run': path.split('/')[-2:]}))
    monkeypatch.setattr('mfdet.export.verify.verify', check)
    assert run(config, checkpoint, '--format', 'openvino', '--output', tmp_path / 'a.xml') == 0
    assert written == [(['export', 'a.xml'], 0.05, 0.05), (['probe', 'a.xml'], 0.0, 0.0)]
    assert '7 detections agree' in capsys.readouterr().out
    assert sorted(item.name for item in tmp_path.iterdir()) == ['a.bin', 'a.xml']


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (['--format', 'onnx', '--output', 'a.xml'], 'a.xml: a file of format onnx ends in .onnx'),
        (['--format', 'litert', '--output', 'a.pte'], 'a.pte: a file of format litert ends in .tflite'),
        (['--format', 'litert', '--output', 'a.tflite'], '--format litert needs'),  # its package, or --fixed-size
        (['--format', 'onnx', '--output', 'nowhere/a.onnx'], 'its folder does not exist'),
        (
            ['--format', 'onnx', '--output', 'a.onnx', '--precision', 'fp16'],
            '--format weights or openvino, not onnx',
        ),
        (['--format', 'weights', '--output', 'a.safetensors', '--preprocess'], '--preprocess goes with'),
        (['--format', 'onnx', '--output', 'a.onnx', '--precision', 'int8'], 'int8 needs --calibration DIR'),
        (['--format', 'onnx', '--output', 'a.onnx', '--calibration', '.'], 'goes with --precision int8'),
        (
            ['--format', 'onnx', '--output', 'a.onnx', '--precision', 'int8', '--calibration', 'no'],
            'no: no such folder',
        ),
        (
            ['--format', 'onnx', '--output', 'a.onnx', '--force'],
            '--force goes with --precision bf16 or int8 or int8-bf16',
        ),
        (['--format', 'onnx', '--output', 'a.onnx', '--float-layers', 'neck'], '--float-layers goes with --precision'),
        (['--format', 'onnx', '--output', 'a.onnx', '--max-drop', '2'], '--max-drop goes with --precision bf16'),
        (['--format', 'onnx', '--output', 'a.onnx', '--backbone-only'], '--backbone-only goes with --format weights'),
        (['--format', 'onnx', '--output', 'a.onnx', '--fixed-size', '100', '64'], '--fixed-size takes multiples of 32'),
        (['--format', 'weights', '--output', 'a.safetensors', '--fixed-size', '64', '64'], '--fixed-size goes with'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(capsys, options, says):
    assert run('config.py', 'checkpoint.pth', *options) == 2
    assert says in capsys.readouterr().err


def test_a_part_that_the_model_has_not_is_said_before_it_is_converted(trained, data, tmp_path, monkeypatch, capsys):
    _, config, checkpoint = trained
    monkeypatch.setattr(export, 'export_detector', None)
    options = ['--precision', 'int8', '--calibration', data[1] / 'images', '--float-layers', 'backbone.stem', 'head']
    assert run(config, checkpoint, '--format', 'onnx', '--output', tmp_path / 'a.onnx', *options, *data) == 2
    says = capsys.readouterr().err
    assert '--float-layers head: the model has no such part; its parts are backbone' in says
    assert 'bbox_head' in says
    assert not list(tmp_path.iterdir())


def test_without_torch_it_says_what_to_install():
    code = 'import sys; sys.modules["torch"] = None; from mfdet.cli import main; sys.exit(main(sys.argv[1:]))'
    words = ['export', 'config.py', 'run.pth', '--format', 'onnx', '--output', 'a.onnx']
    done = subprocess.run([sys.executable, '-c', code, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'torch cannot be found; install what this needs' in done.stderr
