import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mfdet.commands import export
from mfdet.errors import InputError
from mfdet.models import MobileFormerClassifier
from mfdet.runtime import Detector
from mfdet.weights import convert_to_official

CONFIG = Path(__file__).parents[2] / 'configs' / 'imagenet' / 'mobile_former_26m.py'


def test_released_classifier_to_onnx(tmp_path, capsys):
    onnxruntime = pytest.importorskip('onnxruntime')
    torch.manual_seed(0)
    model = MobileFormerClassifier('26m').eval()
    torch.save(dict(state_dict=convert_to_official(model.state_dict())), tmp_path / 'mobile-former-26m.pth.tar')
    path = tmp_path / 'classifier.onnx'
    args = [CONFIG, tmp_path / 'mobile-former-26m.pth.tar', '--format', 'onnx', '--output', path]
    assert export.main([str(arg) for arg in args]) == 0
    assert 'logits agree with PyTorch' in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(path))
    assert json.loads(session.get_modelmeta().custom_metadata_map['mfdet'])['arch'] == '26m'
    images = np.random.default_rng(0).standard_normal((2, 3, 128, 192), dtype=np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(session.run(None, dict(images=images))[0], expected, atol=1e-4)
    with pytest.raises(InputError, match='must be one for detection'):
        Detector(path)
    assert export.main([*map(str, args), '--preprocess']) == 2
    assert 'this is a classifier' in capsys.readouterr().err
