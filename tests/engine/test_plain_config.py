import copy

import pytest
import torch

from mfdet.commands import export, test
from mfdet.engine.config import load_config
from mfdet.engine.plain_config import check_boxes, plain_config
from mfdet.errors import InputError


@pytest.fixture(scope='module')
def config():
    return load_config('configs/cpu/retinanet_mf26m.py')


def checkpoint_of(config):
    return dict(meta=dict(mfdet=dict(config=plain_config(config))))


def test_the_same_anchors_pass(config):
    check_boxes(checkpoint_of(config), config.model, 'a.pth')


@pytest.mark.parametrize(
    ('part', 'default'), [('anchor_generator', dict(center_offset=0.0)), ('bbox_coder', dict(ctr_clamp=32))]
)
def test_defaults_may_be_spelled_out(config, part, default):
    other = copy.deepcopy(config)
    assert not set(default) & set(other.model.bbox_head[part])
    other.model.bbox_head[part].update(default)
    check_boxes(checkpoint_of(other), config.model, 'a.pth')
    check_boxes(checkpoint_of(config), other.model, 'a.pth')


def test_a_class_that_a_checkpoint_names_is_not_imported(config):
    stored = checkpoint_of(config)
    stored['meta']['mfdet']['config']['model']['bbox_head']['anchor_generator']['type'] = 'this.poem'
    with pytest.raises(InputError, match=r'anchor_generator.type=this.poem, and this config has AnchorGenerator'):
        check_boxes(stored, config.model, 'a.pth')


def test_a_checkpoint_that_does_not_say_passes(config):
    for checkpoint in ({}, dict(meta=None), dict(meta=dict(mfdet=dict(config=dict(model=dict(bbox_head=[])))))):
        check_boxes(checkpoint, config.model, 'a.pth')


@pytest.mark.parametrize(
    ('part', 'key', 'value'),
    [('anchor_generator', 'octave_base_scale', 4), ('bbox_coder', 'target_stds', [0.1, 0.1, 0.2, 0.2])],
)
def test_what_makes_boxes_must_be_alike(config, part, key, value):
    other = copy.deepcopy(config)
    assert other.model.bbox_head[part].get(key) != value
    other.model.bbox_head[part][key] = value
    with pytest.raises(InputError) as error:
        check_boxes(checkpoint_of(other), config.model, 'a.pth')
    assert str(error.value).startswith(f'a.pth: was trained with model.bbox_head.{part}.{key}={value}, and this config')


def test_heads_without_anchors_pass(config):
    end_to_end = load_config('configs/cpu/e2e_mf26m.py')
    check_boxes(checkpoint_of(end_to_end), end_to_end.model, 'a.pth')
    check_boxes(checkpoint_of(config), end_to_end.model, 'a.pth')  # its weights do not fit, which is said later


@pytest.mark.parametrize(
    'command', [test.main, lambda words: export.main([*words, '--format', 'onnx', '--output', 'a.onnx'])]
)
def test_commands_refuse_a_checkpoint_of_other_anchors(config, command, tmp_path, capsys):
    path = str(tmp_path / 'a.pth')
    torch.save(dict(checkpoint_of(config), state_dict=dict(weight=torch.zeros(1))), path)
    anchors = 'model.bbox_head.anchor_generator.octave_base_scale=4'
    assert command(['configs/cpu/retinanet_mf26m.py', path, '--cfg-options', anchors]) == 2
    assert f'{path}: was trained with model.bbox_head.anchor_generator.octave_base_scale=2' in capsys.readouterr().err
