"""ExecuTorch files, from checkpoint to detections; `make phones` runs these in their own environment."""

import pytest

from tests.helpers import phones

pytest.importorskip('executorch', reason='needs requirements-phones.txt: make phones')


@pytest.fixture(scope='module')
def path(trained, tmp_path_factory):
    return phones.exported(trained, 'executorch', '.pte', tmp_path_factory.mktemp('exported'))


def test_it_describes_itself(path, trained, tmp_path):
    phones.check_description(path, trained, 'NCHW', tmp_path)


def test_it_finds_what_pytorch_finds(path, trained):
    phones.check_detections(path, trained)


def test_the_test_command_takes_it(path, trained, data, tmp_path):
    phones.check_test_command(path, trained, data, 'executorch', tmp_path)
