"""Core ML packages, which run on macOS alone; `make phones` runs the converter, in an environment of its own."""

import json
import sys

import pytest
import torch

from mfdet.commands import export, test
from mfdet.detector import load_detector
from mfdet.errors import InputError
from mfdet.export.coreml import (
    block_diagonal,
    clamped,
    export_coreml,
    for_coreml,
    quotient,
    run_by_torch,
)
from mfdet.export.phone_graph import PhoneGraph, build_phone_graph
from mfdet.export.verify import verify
from mfdet.runtime import Detector
from tests.helpers import phones

COLOURS = dict(channel_order='rgb', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
NOT_CONVERTED = ('block_diag', '__and__', '__or__', 'bitwise_not', 'alias')


@pytest.fixture(scope='module')
def graph(trained):
    return build_phone_graph(trained[0])[0]


def test_the_program_is_the_graph_in_operations_that_are_converted(graph):
    program, _ = for_coreml(graph, (96, 128))
    images, sizes = torch.randn(1, 3, 96, 128), torch.tensor([[70.0, 110.0]])
    with torch.no_grad():
        expected, found = graph(images, sizes), program(images, sizes)
    assert expected['scores'].max() > 0
    for name, values in zip(PhoneGraph.outputs, found, strict=True):
        torch.testing.assert_close(values, expected[name])
    kinds = {node.kind() for node in program.inlined_graph.nodes()}
    assert 'aten::matmul' in kinds
    assert not kinds & {f'aten::{name}' for name in NOT_CONVERTED}


def test_whole_numbers_stay_whole():
    x = torch.arange(-5, 9)
    for bounds in ((0, None), (None, 4), (-1, 3)):
        torch.testing.assert_close(clamped(x, *bounds), x.clamp(*bounds))
    torch.testing.assert_close(quotient(x + 5, 3), (x + 5) // 3)
    assert clamped(x.float(), 0) is NotImplemented
    assert quotient(x.float(), 2) is NotImplemented
    matrices = [torch.rand(2, 1), torch.rand(1, 3), torch.rand(2, 2)]
    torch.testing.assert_close(block_diagonal(matrices), torch.block_diag(*matrices))


def test_what_is_converted_finds_what_pytorch_finds(trained):
    model, *_ = trained
    metadata = dict(normalized=True, fixed_size=[128, 160], resize=None, pad_divisor=32, **COLOURS)
    graph, more = build_phone_graph(model, metadata['normalized'])
    program, _ = for_coreml(graph, metadata['fixed_size'])
    run = run_by_torch(program, metadata | more)
    box_error, score_error, compared = verify(model, run, metadata, 'program')
    assert compared > 20
    assert box_error < 1e-2
    assert score_error < 1e-4


def test_a_package_is_not_replaced(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: object())
    path = tmp_path / 'detector.mlpackage'
    path.mkdir()
    args = [trained[1], trained[2], '--format', 'coreml', '--fixed-size', 128, 128, '--output', path]
    assert export.main([str(arg) for arg in args]) == 2
    assert 'detector.mlpackage: is there, and packages are not replaced' in capsys.readouterr().err


def test_a_package_is_run_by_no_command(trained, tmp_path, capsys):
    path = tmp_path / 'detector.mlpackage'
    path.mkdir()
    for load in (Detector, load_detector):
        with pytest.raises(InputError, match=r'detector\.mlpackage: a Core ML package runs on macOS and iOS alone'):
            load(path)
    assert test.main([str(trained[1]), str(path)]) == 2
    assert 'a Core ML package runs on macOS and iOS alone' in capsys.readouterr().err


def test_without_the_converter(graph, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'coremltools', None)
    with pytest.raises(InputError, match='exporting to Core ML needs coremltools'):
        export_coreml(graph, dict(fixed_size=[64, 64]), tmp_path / 'detector.mlpackage')


def test_package(trained, tmp_path, capsys):
    coremltools = pytest.importorskip('coremltools', reason='needs requirements-phones.txt: make phones')
    path = phones.exported(trained, 'coreml', '.mlpackage', tmp_path)
    assert 'it was not run' in capsys.readouterr().err
    spec = coremltools.models.MLModel(str(path), skip_model_load=True).get_spec()
    inputs = {entry.name: list(entry.type.multiArrayType.shape) for entry in spec.description.input}
    assert inputs == dict(images=[1, 3, 128, 128], sizes=[1, 2])
    kinds = coremltools.proto.FeatureTypes_pb2.ArrayFeatureType
    outputs = {entry.name: entry.type.multiArrayType.dataType for entry in spec.description.output}
    assert outputs == dict(boxes=kinds.FLOAT32, scores=kinds.FLOAT32, labels=kinds.INT32)
    assert all(item.stat().st_mode & 0o044 == 0o044 for item in path.rglob('*'))
    metadata = json.loads(spec.description.metadata.userDefined['mfdet'])
    assert (metadata['classes'], metadata['layout']) == (['round', 'long', 'flat'], 'NCHW')
    assert ('nms' in metadata) == phones.is_retinanet(trained[0])
