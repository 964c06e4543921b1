"""MobileViT in SSDLite and in RetinaNet; the paper's table of SSDLite backbones has 1.7, 2.7 and 5.7 M parameters."""

import json
from pathlib import Path

import pytest

from mfdet.commands.get_flops import main
from mfdet.engine.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
PATHS = sorted([*CONFIGS.glob('**/*mobilevit_*s.py'), CONFIGS / 'ssdlite_mf151m.py'])


@pytest.mark.parametrize(('arch', 'paper', 'madds'), [('xxs', 1.7, 0.844), ('xs', 2.7, 1.848), ('s', 5.7, 3.429)])
def test_ssdlite_has_the_parameters_of_the_paper(capsys, arch, paper, madds):
    assert main([str(CONFIGS / f'ssdlite_mobilevit_{arch}.py'), '--shape', '320', '320', '--json']) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost['params'] / 1e6 == pytest.approx(paper + 0.05, abs=0.05)  # the paper cuts to one decimal
    assert cost['madds'] / 1e9 == pytest.approx(madds, abs=1e-3)


@pytest.mark.parametrize('path', [path for path in PATHS if '_base_' not in path.parts], ids=lambda path: path.stem)
def test_heads_say_what_the_configs_are_for(path):
    config, text = load_config(str(path)), path.read_text()
    assert len(text.splitlines()) <= 20
    assert f'configs/{path.relative_to(CONFIGS)}' in text
    assert 'not trained here' in text.lower().replace('\n# ', ' ')
    mobilevit = config.model.backbone.type == 'MobileViT'
    preprocessor = config.model.data_preprocessor
    assert (preprocessor.bgr_to_rgb, preprocessor.std[0] == 255) == (not mobilevit, mobilevit)
