"""LiteRT files, from checkpoint to detections; `make phones` runs these in their own environment."""

import pytest
import torch

from mfdet.benchmark.runtimes import with_precisions
from mfdet.commands import export
from mfdet.export.calibration import Batches, calibration_images
from mfdet.export.xnnpack import for_xnnpack
from mfdet.runtime import Detector, read_image
from tests.helpers import phones

pytest.importorskip('litert_torch', reason='needs requirements-phones.txt: make phones')


@pytest.fixture(scope='module')
def path(trained, tmp_path_factory):
    return phones.exported(trained, 'litert', '.tflite', tmp_path_factory.mktemp('exported'))


def test_it_describes_itself(path, trained, tmp_path):
    phones.check_description(path, trained, 'NHWC', tmp_path)


def test_it_finds_what_pytorch_finds(path, trained):
    phones.check_detections(path, trained)


def test_xnnpack_runs_all_but_the_selection_of_the_best(path):
    from mfdet.export.litert import delegated

    most, count = delegated(path)
    assert count - 130 < most < count  # RetinaNet's is of some 25 operations on each of five levels


def test_the_test_command_takes_it(path, trained, data, tmp_path):
    phones.check_test_command(path, trained, data, 'litert', tmp_path)


def test_int8_is_of_the_convolutions_of_maps_alone(path, data, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    from mfdet.export.litert import quantize_litert, quantized_operations, read_content

    source, target = Detector(path), tmp_path / 'int8.tflite'
    own = {key: value for key, value in source.metadata.items() if key not in ('layout', 'nms')}  # those are the file's
    images = calibration_images(data[1] / 'images')
    count = quantize_litert(path, target, dict(own, precision='int8'), Batches(images, own))
    assert count == len(quantized_operations(path)) > 10
    model, kinds = read_content(target), schema.BuiltinOperator
    (graph,) = model.subgraphs
    types = {}
    for operation in graph.operators:
        tensors = [graph.tensors[i] for i in (*operation.inputs[:2], *operation.outputs)]
        kind = model.operatorCodes[operation.opcodeIndex].builtinCode
        types.setdefault(kind, []).append(([tensor.type for tensor in tensors], list(tensors[-1].shape[1:3])))
    convolutions, eight = types[kinds.CONV_2D], [schema.TensorType.INT8] * 3
    assert sum(kind == eight for kind, _ in convolutions) == count
    assert all(shape == [1, 1] for kind, shape in convolutions if kind != eight)
    assert all(schema.TensorType.INT8 not in kind for kind, _ in types.get(kinds.BATCH_MATMUL, []))
    assert target.stat().st_size < 0.6 * path.stat().st_size
    content = target.read_bytes()
    assert content.count(b'mfdet-crc32:') == 1  # what the checksum is put into is what is read
    assert b'mfdet-crc32:00000000' not in content
    quantized = Detector(target)
    assert phones.without_checksum(quantized) == dict(phones.without_checksum(source), precision='int8')
    picture = read_image(images[0])
    assert quantized(picture).scores[0] == pytest.approx(source(picture).scores[0], abs=0.1)


def test_means_of_group_norms_are_not_in_int8(tmp_path):
    import litert_torch
    from ai_edge_litert import schema_py_generated as schema

    from mfdet.export.litert import quantized_operations, read_content

    inputs, path = dict(images=torch.randn(1, 24, 32, 3), sizes=torch.tensor([[24.0, 32.0]])), tmp_path / 'm.tflite'
    program = for_xnnpack(phones.Normed('NHWC').eval().requires_grad_(False), **inputs)
    litert_torch.convert(program, sample_kwargs=inputs, strict_export=False).export(str(path))
    model = read_content(path)
    kinds = [model.operatorCodes[operation.opcodeIndex].builtinCode for operation in model.subgraphs[0].operators]
    assert kinds.count(schema.BuiltinOperator.CONV_2D) > 2
    assert len(quantized_operations(path)) == 2


def test_int8_by_the_command(path, trained, data, tmp_path, monkeypatch, capsys):
    _, args = phones.int8_by_the_command(path, trained, 'litert', data, tmp_path, monkeypatch)
    assert 'convolutions in INT8, calibrated on' in capsys.readouterr().out
    assert export.main([*args, '--float-layers', 'neck']) == 2
    error = capsys.readouterr().err
    assert '--float-layers: a LiteRT file does not keep the names of layers' in error
    assert 'loading' not in error  # said at once


def test_int8_is_timed():
    assert with_precisions(['litert'], ['fp32', 'int8']) == ['litert', 'litert-int8']
