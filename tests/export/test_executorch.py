"""ExecuTorch files, from checkpoint to detections; `make phones` runs these in their own environment."""

import importlib.util
import shutil

import pytest
import torch

from mfdet.benchmark.runtimes import with_precisions
from mfdet.commands import export
from mfdet.errors import InputError
from mfdet.export.calibration import calibration_images
from mfdet.export.executorch import CONVOLUTION, LINEAR, left_in_float, unshare, worth_int8
from mfdet.export.phone_graph import build_phone_graph
from mfdet.export.xnnpack import for_xnnpack
from mfdet.runtime import Detector, read_image
from tests.helpers import phones

with_executorch = pytest.mark.skipif(
    importlib.util.find_spec('executorch') is None, reason='needs requirements-phones.txt: make phones'
)


def traced(graph, *size):
    """Return a graph as the quantiser gets it, and its inputs; constants may not be computed yet."""
    inputs = torch.randn(1, 3, *size), torch.tensor([size], dtype=torch.float32)
    with torch.no_grad():
        return torch.export.export(for_xnnpack(graph, *inputs), inputs).module(), inputs


@pytest.fixture(scope='module')
def path(trained, tmp_path_factory):
    return phones.exported(trained, 'executorch', '.pte', tmp_path_factory.mktemp('exported'))


@with_executorch
def test_it_describes_itself(path, trained, tmp_path):
    phones.check_description(path, trained, 'NCHW', tmp_path)


@with_executorch
def test_it_finds_what_pytorch_finds(path, trained):
    phones.check_detections(path, trained)


@with_executorch
def test_the_test_command_takes_it(path, trained, data, tmp_path):
    phones.check_test_command(path, trained, data, 'executorch', tmp_path)


def test_what_is_left_in_float(trained):
    model = trained[0]
    module, _ = traced(build_phone_graph(model)[0], 96, 128)
    left = left_in_float(module)
    layers = [node for node in module.graph.nodes if node.target in (CONVOLUTION, LINEAR)]
    taken = [node for node in layers if node.name not in left]
    convolutions = [node for node in taken if node.target == CONVOLUTION]
    assert len(convolutions) > 5
    assert not any('depthwise' in node.args[1].target for node in taken)
    assert all(node.meta['val'].shape[2:].numel() > 1 for node in convolutions)
    assert any(node.target == LINEAR for node in taken)
    means = [node for node in layers if node.target == LINEAR and node.meta['val'].shape[-1] == 1]  # of layer norms
    assert means
    assert not any(node in taken for node in means)
    part = [node.name for node in convolutions if 'bbox_head' in node.args[1].target]
    assert left_in_float(module, ['bbox_head']) == left.union(part) > left
    if phones.is_retinanet(model):
        classes = left_in_float(module, ['bbox_head.retina_cls']) - left
        assert len(classes) == 4  # of as many maps, the fifth is of 1×1
    with pytest.raises(InputError, match='--float-layers nck: no convolution is called so'):
        left_in_float(module, ['nck'])


def test_means_of_group_norms_are_not_worth_int8():
    module, _ = traced(phones.Normed('NCHW').eval().requires_grad_(False), 24, 32)
    found = [node for node in module.graph.nodes if node.target == CONVOLUTION]
    assert [worth_int8(node) for node in found] == [True, False, False, True, False, False]


def test_no_weights_are_shared_when_they_are_quantised(trained):
    module, inputs = traced(build_phone_graph(trained[0])[0], 96, 128)
    layers = [node for node in module.graph.nodes if node.target in (CONVOLUTION, LINEAR)]

    def names():
        return [source.target for node in layers for source in node.args[1:3] if source and source.op == 'get_attr']

    assert len(set(names())) < len(names())
    with torch.no_grad():
        expected = module(*inputs)
        unshare(module)
        found = module(*inputs)
    assert len(set(names())) == len(names())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


@with_executorch
def test_int8_by_the_command(path, trained, data, tmp_path, monkeypatch, capsys):
    _, config, checkpoint = trained
    monkeypatch.setattr('mfdet.export.phone_files.export_for_phones', lambda *args: (shutil.copy(path, args[2]), None))
    monkeypatch.setattr('mfdet.benchmark.quantized.score', lambda path, config: 0.5)
    args = [config, checkpoint, '--format', 'executorch', '--fixed-size', 128, 128, '--output', tmp_path / 'int8.pte']
    args += ['--precision', 'int8', '--calibration', data[1] / 'images', '--force', *data]
    if not Detector(path).metadata['normalized']:
        args.append('--preprocess')
    assert export.main([str(arg) for arg in args]) == 0
    assert 'convolutions in INT8, calibrated on' in capsys.readouterr().out
    assert [item.name for item in tmp_path.iterdir()] == ['int8.pte']
    assert (tmp_path / 'int8.pte').stat().st_size < 0.7 * path.stat().st_size
    source, quantized = Detector(path), Detector(tmp_path / 'int8.pte')
    assert phones.without_checksum(quantized) == dict(phones.without_checksum(source), precision='int8')
    picture = read_image(calibration_images(data[1] / 'images')[0])
    scores = quantized(picture).scores[0], source(picture).scores[0]
    assert scores[0] == pytest.approx(scores[1], abs=0.1)
    assert scores[0] != pytest.approx(scores[1], abs=1e-5)


def test_int8_is_timed():
    assert with_precisions(['executorch'], ['fp32', 'int8']) == ['executorch', 'executorch-int8']
