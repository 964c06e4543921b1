"""LiteRT files, from checkpoint to detections; `make phones` runs these in their own environment."""

import pytest

from tests.helpers import phones

pytest.importorskip('litert_torch', reason='needs requirements-phones.txt: make phones')


@pytest.fixture(scope='module')
def path(trained, tmp_path_factory):
    return phones.exported(trained, 'litert', '.tflite', tmp_path_factory.mktemp('exported'))


def test_it_describes_itself(path, trained, tmp_path):
    phones.check_description(path, trained, 'NHWC', tmp_path)


def test_it_finds_what_pytorch_finds(path, trained):
    phones.check_detections(path, trained)


def test_xnnpack_runs_all_but_the_selection_of_the_best(path):
    from mfdet.export.litert import delegated

    most, count = delegated(path)
    assert count - 130 < most < count  # RetinaNet's is of some 25 operations on each of five levels


def test_the_test_command_takes_it(path, trained, data, tmp_path):
    phones.check_test_command(path, trained, data, 'litert', tmp_path)
