"""The detectors that come with the package."""

import re

import pytest

import mfdet.register  # noqa: F401
from mfdet.detector import load_detector
from mfdet.errors import InputError
from mfdet.weights import read_checkpoint
from mfdet.weights.pretrained import PRETRAINED, find_weights


@pytest.mark.parametrize('name', PRETRAINED)
def test_each_is_a_detector_that_says_what_it_is(name):
    path = find_weights(name, '--load-from')
    described = read_checkpoint(path)['meta']['mfdet']
    assert described['classes'] == ['ellipse', 'rectangle', 'triangle', 'star', 'cross', 'ring']
    assert not re.search(r'/(home|root|work|tmp)/', str(described))  # of whoever trained it
    assert load_detector(path).classes == described['classes']


def test_a_file_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'e2e_plus_mf26m_shapes').touch()
    assert find_weights('e2e_plus_mf26m_shapes', '--load-from') == 'e2e_plus_mf26m_shapes'


@pytest.mark.parametrize(('name', 'says'), [('coco.pth', 'coco.pth: no such'), ('', 'the empty name: no such')])
def test_what_is_neither_is_told_what_there_is(name, says):
    with pytest.raises(InputError, match=rf'^{says} checkpoint file \(--load-from\); what comes with mfdet: e2e_plus'):
        find_weights(name, '--load-from')
