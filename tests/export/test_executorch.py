"""ExecuTorch files, from checkpoint to detections; `make phones` runs these in their own environment."""

import importlib.util

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mfdet.benchmark.runtimes import with_precisions
from mfdet.export.calibration import calibration_images
from mfdet.export.executorch import inputs_of, traced
from mfdet.export.executorch_int8 import (
    CONVOLUTION,
    LARGE,
    LINEAR,
    layers_for_int8,
    parameters,
    quantize_executorch,
    unshare,
)
from mfdet.export.phone_graph import build_phone_graph
from mfdet.runtime import Detector, read_image
from tests.helpers import phones

with_executorch = pytest.mark.skipif(
    importlib.util.find_spec('executorch') is None, reason='needs requirements-phones.txt: make phones'
)


def program_of(graph):
    """Return a graph as the quantiser gets it, and its inputs."""
    inputs = inputs_of(dict(fixed_size=[96, 128]))
    with torch.no_grad():
        return traced(graph, inputs), inputs


@pytest.fixture(scope='module')
def program(trained):
    return program_of(build_phone_graph(trained[0])[0])


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


def test_layers_for_int8(program, trained):
    exported, _ = program
    layers = layers_for_int8(exported)
    taken = [node for nodes in layers.values() for node in nodes]
    others = [node for node in exported.graph.nodes if node.target in (CONVOLUTION, LINEAR) and node not in taken]
    groups = {
        node: node.args[6] if len(node.args) > 6 else 1 for node in (*taken, *others) if node.target == CONVOLUTION
    }
    assert {groups[node] for node in taken if node in groups} == {1}
    assert max(groups[node] for node in others if node in groups) > 1  # depthwise
    weights = {node: node.args[1].meta['val'] for node in (*taken, *others) if node.target == LINEAR}
    assert min(weights[node].numel() for node in taken if node in weights) >= LARGE
    assert any(weights[node].shape[0] == 1 for node in others if node in weights)  # the means of layer norms
    parts = dict(trained[0].named_modules())
    assert {layer.removesuffix('.layer') for layer in layers} <= set(parts)  # as the form for OpenVINO wraps some
    if phones.is_retinanet(trained[0]):
        assert len(layers['bbox_head.retina_cls']) == 5  # of as many maps
        assert {f'neck.{name}' for name in ('lateral_convs.0.conv', 'fpn_convs.4.conv')} <= set(layers)


def test_coefficients_of_dynamic_relus_are_no_layers_for_int8(program, trained):
    exported, _ = program
    computed = [
        node for node in exported.graph.nodes if node.target == CONVOLUTION and node.args[1].op != 'placeholder'
    ]
    names = {name for node in computed for name in parameters(node.args[1], exported.graph_signature)}
    assert len(names) == (0 if phones.is_retinanet(trained[0]) else 4)
    assert all(name.endswith('expand.weight') for name in names)
    assert not set(computed) & {node for nodes in layers_for_int8(exported).values() for node in nodes}


def test_means_of_group_norms_are_not_in_int8():
    exported, _ = program_of(phones.Normed('NCHW').eval().requires_grad_(False))
    found = [node for node in exported.graph.nodes if node.target == CONVOLUTION]
    taken = [node for nodes in layers_for_int8(exported).values() for node in nodes]
    assert [node in taken for node in found] == [True, False, False, True, False, False]


def test_what_depends_on_images_and_what_is_no_parameter_is_no_weight():
    class Sum(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(64, 64))

        def forward(self, images, sizes):
            weights = self.weight, self.weight * sizes.sum(), torch.full((64, 64), 1 / 64)
            return sum(F.linear(images, weight) for weight in weights)

    exported = torch.export.export(Sum(), (torch.randn(2, 64), torch.ones(1, 2)))
    first, changing, mean = (node for node in exported.graph.nodes if node.target == LINEAR)
    assert list(layers_for_int8(exported).values()) == [[first]]
    for node in (changing, mean):
        assert parameters(node.args[1], exported.graph_signature) == []


def test_no_weights_are_shared_when_they_are_quantised(program):
    exported, inputs = program
    module = exported.module()
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
def test_int8_by_the_command(path, program, trained, data, tmp_path, monkeypatch, capsys):
    nodes = [node for nodes in layers_for_int8(program[0]).values() for node in nodes]
    count = sum(node.target == CONVOLUTION for node in nodes) - 1  # the stem's
    options = '--float-layers', 'backbone.stem'
    output, _ = phones.int8_by_the_command(path, trained, 'executorch', data, tmp_path, monkeypatch, *options)
    assert f'{count} convolutions in INT8, calibrated on' in capsys.readouterr().out
    assert output.stat().st_size < 0.7 * path.stat().st_size
    source, quantized = Detector(path), Detector(output)
    assert phones.without_checksum(quantized) == dict(phones.without_checksum(source), precision='int8')
    outputs = quantized._model.run(np.zeros((1, 3, 128, 128), np.float32), np.array([[128, 128]]))
    assert [output.dtype for output in outputs] == [np.float32, np.float32, np.int64]
    picture = read_image(calibration_images(data[1] / 'images')[0])
    scores = quantized(picture).scores[0], source(picture).scores[0]
    assert scores[0] == pytest.approx(scores[1], abs=0.1)
    assert scores[0] != pytest.approx(scores[1], abs=1e-5)


@with_executorch
def test_int8_values_are_right_in_two_layouts(tmp_path):
    """A map of an INT8 convolution is both an output and, in XNNPACK's layout, a factor."""
    from executorch.runtime import Runtime

    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 8, 3, padding=1)

        def forward(self, images, sizes):
            found = self.layer(images)
            return found, found * images[:, :1].abs()

    torch.manual_seed(0)
    graph, path = Masked().eval().requires_grad_(False), str(tmp_path / 'masked.pte')
    images, sizes = inputs_of(dict(fixed_size=[32, 64]))
    entry = dict(images=images.numpy(), sizes=sizes.numpy())
    assert quantize_executorch(graph, path, dict(fixed_size=[32, 64]), [entry]) == 1
    found = Runtime.get().load_program(path).load_method('forward').execute([images, sizes])
    for value, expected in zip(found, graph(images, sizes), strict=True):
        assert not value.equal(expected)
        torch.testing.assert_close(value, expected, rtol=0, atol=0.03 * expected.abs().max().item())


def test_int8_is_timed():
    assert with_precisions(['executorch'], ['fp32', 'int8']) == ['executorch', 'executorch-int8']
