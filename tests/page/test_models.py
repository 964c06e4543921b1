import threading

import pytest
import tiny_model

from mfdet.errors import InputError
from mfdet.page import models
from mfdet.page.models import Models


@pytest.fixture
def paths(tmp_path):
    (tmp_path / 'b').mkdir()
    return [str(tiny_model.save_onnx(tmp_path / name)) for name in ('one.onnx', 'two.onnx', 'b/one.onnx')]


def test_each_is_loaded_once_when_first_asked_for(paths, monkeypatch):
    loaded, load = [], models.load_detector
    monkeypatch.setattr(models, 'load_detector', lambda path: loaded.append(path) or load(path))
    offered = Models(paths[:2])
    assert offered.names == ['one.onnx', 'two.onnx']
    assert loaded == []
    users = [threading.Thread(target=offered.detector, args=['two.onnx']) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert loaded == [paths[1]]
    assert offered.detector('two.onnx').path == paths[1]
    assert not offered.has_queries('two.onnx')


def test_same_file_names_go_by_their_paths(paths):
    assert Models(paths).names == paths


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (lambda paths: [*paths, 'none.onnx'], 'none.onnx: no such model file'),
        (lambda paths: [*paths, __file__], 'test_models.py: a detector ends in .onnx'),
        (lambda paths: [paths[0], paths[0]], 'one.onnx: this model is named twice'),
    ],
    ids=['missing', 'kind', 'twice'],
)
def test_mistakes(paths, change, says):
    with pytest.raises(InputError, match=says):
        Models(change(paths))
