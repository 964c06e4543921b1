import argparse
import os

import pytest
import torch
from damage import flip
from safetensors.torch import save_file

from mfdet.errors import InputError
from mfdet.weights import read_checkpoint, state_dict_of


class Runs:
    """Its pickle makes a file when loaded by an unsafe reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_refuses_what_could_run_code(tmp_path):
    mark = tmp_path / 'mark'
    path = tmp_path / 'evil.pth'
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'x': Runs(str(mark))}, path)
    with pytest.raises(InputError, match=r'evil\.pth is refused because it holds Python objects \(posix\.mkdir\)'):
        read_checkpoint(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the mark shows that the file would have run
    assert mark.exists()


def test_reads_options_of_released_training_scripts(tmp_path):
    path = tmp_path / 'released.pth.tar'
    torch.save({'state_dict': {'a': torch.ones(2)}, 'args': argparse.Namespace(lr=0.1)}, path)
    assert read_checkpoint(path)['args'].lr == 0.1


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 torn', b'\x80\x02}q\x00.'[:3]])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / 'damaged.pth'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'damaged\.pth is not a PyTorch checkpoint'):
        read_checkpoint(path)


def test_every_cut_of_a_real_file_is_refused(tmp_path):
    path = tmp_path / 'whole.pth'
    torch.save({'state_dict': {'a': torch.arange(1000.0)}}, path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r'whole\.pth'):
            read_checkpoint(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / 'flipped.pth'
    torch.save({'state_dict': {'a': torch.arange(30.0), 'b': torch.ones(2)}, 'meta': {'epoch': 3}}, path)
    whole, refused, named = path.read_bytes(), 0, True
    for place in [*range(0, 1200, 5), *range(1200, len(whole))]:
        path.write_bytes(whole)
        flip(path, place, 4 if place > 1200 else place % 8)  # all of the directory's bits for attributes
        try:
            read = read_checkpoint(path)
        except InputError as error:
            refused += 1
            named &= 'flipped.pth' in str(error)
        else:
            assert read['meta'] == {'epoch': 3}
            assert read['state_dict']['a'].equal(torch.arange(30.0))
            assert read['state_dict']['b'].equal(torch.ones(2))
    assert refused > 300
    assert named
    path.write_bytes(whole)
    flip(path, whole.index(torch.arange(30.0).numpy().tobytes()) + 40)
    with pytest.raises(InputError, match=r'flipped\.pth is damaged: its part flipped/data/0 is not as it was written'):
        read_checkpoint(path)


@pytest.mark.parametrize('form', ['before torch 1.6', 'without checksums', 'named oé'])
def test_files_of_other_forms_are_read(tmp_path, monkeypatch, form):
    path = tmp_path / ('oé.pth' if 'named' in form else 'a.pth')
    if form == 'without checksums':
        monkeypatch.setattr(torch.utils.serialization.config.save, 'compute_crc32', False)
    torch.save({'a': torch.ones(2)}, path, _use_new_zipfile_serialization=form != 'before torch 1.6')
    assert read_checkpoint(path)['a'].equal(torch.ones(2))


ODD = {
    'sparse': (lambda: torch.ones(2, 2).to_sparse(), 'is a sparse or nested tensor'),
    'nested': (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), 'is a sparse or nested tensor'),
    'complex': (lambda: torch.ones(2, dtype=torch.complex64), r'is a tensor of torch\.complex64'),
    'quantized': (
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        r'is a tensor of torch\.qint8',
    ),
    'float8': (lambda: torch.ones(2).to(torch.float8_e4m3fn), r'is a tensor of torch\.float8_e4m3fn'),
    'meta': (lambda: torch.ones(2, device='meta'), 'is a tensor without data'),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ODD)
def test_odd_tensors_are_named(tmp_path, kind):
    make, says = ODD[kind]
    torch.save({'state_dict': {'a': torch.ones(1), 'w': make()}}, tmp_path / 'odd.pth')
    with pytest.raises(InputError, match=rf"odd\.pth.*'w' {says}"):
        state_dict_of(read_checkpoint(tmp_path / 'odd.pth'), 'odd.pth')


def test_a_deep_header_is_one_sentence(tmp_path):
    depth = 200_000
    header = '[' * depth + ']' * depth
    path = tmp_path / 'deep.safetensors'
    save_file({'a': torch.ones(1)}, path, metadata=dict(mfdet=header))
    with pytest.raises(InputError, match=r'deep\.safetensors is not a safetensors file, or it is damaged'):
        read_checkpoint(path)
    path.write_bytes(len(header).to_bytes(8, 'little') + header.encode())
    with pytest.raises(InputError, match=r'deep\.safetensors is not a safetensors file, or it is damaged'):
        read_checkpoint(path)


def test_missing_file():
    with pytest.raises(InputError, match=r'nowhere\.pth: no such checkpoint file'):
        read_checkpoint('nowhere.pth')


@pytest.mark.parametrize('wrap', [lambda w: w, lambda w: {'state_dict': w}])
def test_state_dict_bare_or_wrapped_with_or_without_module(wrap):
    weights = {'a.weight': torch.ones(1), 'b': torch.zeros(2)}
    with_prefix = {f'module.{name}': value for name, value in weights.items()}
    assert state_dict_of(wrap(weights), 'f') == weights
    assert state_dict_of(wrap(with_prefix), 'f') == weights


@pytest.mark.parametrize('content', [{}, [], {'state_dict': {}}, {'a': 1}, {'state_dict': [1]}, {3: torch.ones(1)}])
def test_no_weights(content):
    with pytest.raises(InputError, match='file'):
        state_dict_of(content, 'file')
