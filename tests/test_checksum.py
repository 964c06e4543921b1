import json
import shutil

import pytest
import torch
from damage import flip
from tiny_model import METADATA, save_onnx, save_openvino

from mfdet.checksum import BLANK, MARK, check_exported, stamp
from mfdet.errors import InputError
from mfdet.export.weights import export_weights
from mfdet.runtime import Detector
from mfdet.weights import read_checkpoint

BLANKED = {**METADATA, 'checksum': BLANK}


def save(folder, suffix):
    path = folder / f'tiny.{suffix}'
    if suffix == 'safetensors':
        export_weights({'w': torch.arange(50.0)}, METADATA, path)
        return path
    (save_onnx if suffix == 'onnx' else save_openvino)(path, BLANKED)
    stamp(path)
    return path


@pytest.mark.parametrize('suffix', ['onnx', 'xml', 'safetensors'])
def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path, suffix):
    path = save(tmp_path, suffix)
    check_exported(path)
    whole = path.read_bytes()
    mark = whole.rfind(MARK)
    for place in range(0, len(whole), 1 + len(whole) // 400):
        if mark <= place < mark + len(MARK) or (suffix == 'safetensors' and place < 8):
            continue  # a file whose mark is gone counts as one without; safetensors itself looks at its length
        path.write_bytes(whole)
        with pytest.raises(InputError, match=f'tiny.{suffix}: its content does not match its checksum'):
            check_exported(flip(path, place, place % 8))


def test_openvinos_weights_belong_to_their_graph(tmp_path):
    path = save(tmp_path, 'xml')
    flip(path.with_suffix('.bin'), 5)
    with pytest.raises(InputError, match=r'tiny\.xml: its content does not match its checksum'):
        Detector(path)
    path.with_suffix('.bin').unlink()
    with pytest.raises(InputError, match=r'tiny\.xml: is no model that openvino can load'):
        Detector(path)


@pytest.mark.parametrize('suffix', ['onnx', 'xml'])
def test_the_runtime_looks_before_it_loads(tmp_path, suffix):
    path = save(tmp_path, suffix)
    assert Detector(path).metadata == METADATA
    flip(path, 40)
    with pytest.raises(InputError, match='its content does not match its checksum'):
        Detector(path)


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    path = save(tmp_path, 'safetensors')
    assert read_checkpoint(path)['state_dict']['w'].equal(torch.arange(50.0))
    flip(path, -9)
    with pytest.raises(InputError, match=r'tiny\.safetensors: its content does not match its checksum'):
        read_checkpoint(path)


def test_files_without_a_checksum_are_read(tmp_path):
    (tmp_path / 'empty').touch()
    check_exported(tmp_path / 'empty')
    path = save_onnx(tmp_path / 'old.onnx')
    assert MARK not in path.read_bytes()
    assert Detector(path).metadata == METADATA
    from safetensors.torch import save_file

    save_file({'w': torch.ones(3)}, tmp_path / 'old.safetensors', metadata=dict(mfdet=json.dumps(METADATA)))
    assert read_checkpoint(tmp_path / 'old.safetensors')['state_dict']['w'].sum() == 3


def test_a_file_made_of_another_is_stamped_anew(tmp_path):
    path = save(tmp_path, 'onnx')
    other = shutil.copy(path, tmp_path / 'other.onnx')
    flip(other, 40)
    stamp(other)
    check_exported(other)
    assert other.read_bytes()[-80:] != path.read_bytes()[-80:]
