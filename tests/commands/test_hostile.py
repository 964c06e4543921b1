"""Files that try to run something, of another kind or damaged: no command uses them, each says so in one sentence."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from damage import flip
from onnx import TensorProto, helper, save
from tiny_model import METADATA, save_onnx, save_openvino

from mfdet import cli
from mfdet.checksum import BLANK, stamp
from mfdet.data.shapes import write_coco
from mfdet.export.weights import export_weights

ROOT = Path(__file__).parents[2]
SHAPES = str(ROOT / 'configs' / 'shapes' / 'retinanet_mf26m.py')
E2E = str(ROOT / 'configs' / 'shapes' / 'e2e_paper_mf26m.py')
SMALL = str(ROOT / 'configs' / 'small' / 'retinanet_mf151m.py')
DATA = ['--data-root', '.', '--train-images', 'images', '--val-images', 'images', '--work-dir', 'new']


class Runs:
    """Its pickle makes the folder ``ran`` when loaded by an unsafe reader."""

    def __reduce__(self):
        return os.mkdir, ('ran',)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A folder with hostile and damaged files, a foreign ONNX and good data."""
    folder = tmp_path_factory.mktemp('files')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_files()
    return folder


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not Path('ran').exists()


def make_files():
    write_coco('data', 2, 0, (64, 64), 'a')
    os.rename('data/annotations/a.json', 'a.json')
    os.rename('data/images', 'images')
    parts = ('message_hub', 'optimizer', 'param_schedulers')
    torch.save(dict(state_dict={'w': Runs()}, meta={}, **{part: {} for part in parts}), 'evil.pth')
    for name in ('evil.onnx', 'evil.xml', 'evil.safetensors', 'evil.json', 'bare.pth'):
        Path(name).write_bytes(pickle.dumps(dict(state_dict=Runs())))
    weights = torch.arange(100.0)
    torch.save(dict(state_dict={'tokens.weight': weights}, meta={}, **{part: {} for part in parts}), 'flipped.pth')
    export_weights({'tokens.weight': weights}, METADATA, 'flipped.safetensors')
    for name, write in (('flipped.xml', save_openvino), ('flipped.onnx', save_onnx)):
        write(Path(name), {**METADATA, 'checksum': BLANK})
        stamp(name)
    flip(Path('flipped.pth'), Path('flipped.pth').read_bytes().index(weights.numpy().tobytes()) + 42)
    for name in ('flipped.safetensors', 'flipped.onnx', 'flipped.bin'):
        flip(Path(name), -50 if name == 'flipped.safetensors' else 20)
    os.makedirs('damaged')
    Path('damaged', 'epoch_1.pth').write_bytes(Path('flipped.pth').read_bytes())
    os.makedirs('used')
    Path('used', 'epoch_1.pth').write_bytes(Path('evil.pth').read_bytes())
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in 'xy']
    graph = helper.make_graph([helper.make_node('Relu', ['x'], ['y'])], 'graph', values[:1], values[1:])
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', 17)]), 'foreign.onnx')
    os.makedirs('yolo/images')
    os.makedirs('yolo/labels')
    Path('yolo/data.yaml').write_text('names: !!python/object/apply:os.mkdir [ran]\n')
    os.makedirs('voc/Annotations')
    os.makedirs('voc/JPEGImages')
    Path('voc/JPEGImages/1.jpg').touch()
    laughs = ''.join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    text = f'<!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]><annotation><filename>&a11;</filename></annotation>'
    Path('voc/Annotations/1.xml').write_text(text)


DAMAGED, UNLIKE = 'flipped.pth is damaged', 'its content does not match its checksum'
CASES = {
    'train --resume, damaged': (['train', SHAPES, '--resume', 'flipped.pth', '--work-dir', 'new'], DAMAGED),
    'train --resume, found damaged': (
        ['train', SHAPES, '--resume', '--work-dir', 'damaged'],
        'none of the 1 checkpoint',
    ),
    'train --backbone-weights, damaged': (
        ['train', SHAPES, '--backbone-weights', 'flipped.pth', '--work-dir', 'n'],
        DAMAGED,
    ),
    'test, damaged': (['test', SHAPES, 'flipped.pth'], DAMAGED),
    'test, onnx damaged': (['test', SHAPES, 'flipped.onnx'], f'flipped.onnx: {UNLIKE}'),
    'predict, damaged': (['predict', 'flipped.pth', 'images'], DAMAGED),
    'predict, onnx damaged': (['predict', 'flipped.onnx', 'images'], f'flipped.onnx: {UNLIKE}'),
    'predict, openvino damaged': (['predict', 'flipped.xml', 'images'], f'flipped.xml: {UNLIKE}'),
    'predict, safetensors damaged': (['predict', 'flipped.safetensors', 'images'], f'flipped.safetensors: {UNLIKE}'),
    'export, damaged': (['export', SHAPES, 'flipped.pth', '--format', 'onnx', '--output', 'out.onnx'], DAMAGED),
    'convert, damaged': (['convert', 'flipped.pth', 'out.pth'], DAMAGED),
    'train --resume': (['train', SHAPES, '--resume', 'evil.pth', '--work-dir', 'new'], 'evil.pth is refused'),
    'train --resume, found': (['train', SHAPES, '--resume', '--work-dir', 'used'], 'none of the 1 checkpoints'),
    'train --backbone-weights': (['train', SHAPES, '--backbone-weights', 'evil.pth', '--work-dir', 'n'], 'evil.pth'),
    'train load_from': (['train', SHAPES, '--work-dir', 'n', '--cfg-options', 'load_from=evil.pth'], 'evil.pth'),
    'train --train-ann': (['train', SMALL, *DATA, '--train-ann', 'evil.json', '--val-ann', 'a.json'], 'evil.json'),
    'train --val-ann': (['train', SMALL, *DATA, '--train-ann', 'a.json', '--val-ann', 'evil.json'], 'evil.json'),
    'test': (['test', SHAPES, 'evil.pth'], 'evil.pth is refused'),
    'test, bare': (['test', SHAPES, 'bare.pth'], 'bare.pth'),
    'test, onnx': (['test', SHAPES, 'evil.onnx'], 'evil.onnx: is no model that onnxruntime can load'),
    'test, safetensors': (['test', SHAPES, 'evil.safetensors'], 'evil.safetensors is not a safetensors file'),
    'test, foreign': (['test', SHAPES, 'foreign.onnx'], "foreign.onnx: has no 'mfdet' metadata"),
    'predict': (['predict', 'evil.pth', 'images'], 'evil.pth is refused'),
    'predict, onnx': (['predict', 'evil.onnx', 'images'], 'evil.onnx: is no model that onnxruntime can load'),
    'predict, openvino': (['predict', 'evil.xml', 'images'], 'evil.xml'),
    'predict, safetensors': (['predict', 'evil.safetensors', 'images'], 'evil.safetensors is not a safetensors file'),
    'predict, foreign': (['predict', 'foreign.onnx', 'images'], "foreign.onnx: has no 'mfdet' metadata"),
    'predict, image': (['predict', 'images/a_000001.png', 'images'], 'a_000001.png: a detector ends in'),
    'export': (['export', SHAPES, 'evil.pth', '--format', 'onnx', '--output', 'out.onnx'], 'evil.pth is refused'),
    'convert': (['convert', 'evil.pth', 'out.pth'], 'evil.pth is refused'),
    'queries': (['queries', E2E, 'evil.pth', 'images/a_000001.png', '--out', 'out.png'], 'evil.pth is refused'),
    'evaluate': (['evaluate', 'evil.json', 'a.json'], 'evil.json: is not a JSON file'),
    'evaluate, results': (['evaluate', 'a.json', 'evil.json'], 'evil.json: is not a JSON file'),
    'evaluate, no results': (['evaluate', 'a.json', 'a.json'], 'a.json: must hold a list of detections, not dict'),
    'check': (['check', 'evil.json'], 'evil.json: is not a JSON file'),
    'check, image': (['check', 'images/a_000001.png'], 'a_000001.png: is not a JSON file'),
    'convert-dataset yolo': (['convert-dataset', 'yolo', 'yolo', '--out', 'out.json'], 'data.yaml: is no YAML'),
}


@pytest.mark.parametrize('case', CASES)
def test_no_command_uses_what_a_file_holds(folder, case, capsys):
    args, says = CASES[case]
    before = {path for path in folder.rglob('out*') if path.is_file()}
    assert cli.main(args) == 2
    error = capsys.readouterr().err.strip()
    line = error.splitlines()[-1]
    assert line.startswith('error: '), error[-2000:]
    assert says in line
    assert 'Traceback' not in error
    assert {path for path in folder.rglob('out*') if path.is_file()} == before


def test_the_files_are_hostile_indeed(folder):
    torch.load('evil.pth', weights_only=False)
    os.rmdir('ran')
    pickle.loads(Path('evil.json').read_bytes())
    os.rmdir('ran')


def test_an_xml_of_nested_entities_is_refused(folder, capsys):
    assert cli.main(['convert-dataset', 'voc', 'voc', '--out', 'out.json']) == 1
    assert '1.xml' in capsys.readouterr().out
    assert json.loads(Path('out.json').read_text())['images'] == []
