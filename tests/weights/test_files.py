import argparse
import os

import pytest
import torch

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
