import os
import subprocess
import sys
from pathlib import Path

import pytest

from mfdet.commands.train import default_work_dir
from mfdet.engine import find_config as module
from mfdet.engine.find_config import find_config, shipped_configs
from mfdet.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ('name', 'path'),
    [
        ('e2e_mf508m', 'e2e_mf508m.py'),
        ('retinanet_mf151m', 'retinanet_mf151m.py'),  # small/ has one too, but that is its whole name
        ('cpu/retinanet_mf26m', 'cpu/retinanet_mf26m.py'),
        ('cpu/retinanet_mf26m.py', 'cpu/retinanet_mf26m.py'),
        ('configs/shapes/retinanet_mf26m.py', 'shapes/retinanet_mf26m.py'),
        ('detr_dc5_r50', 'peers/detr_dc5_r50.py'),
    ],
)
def test_a_shipped_config_is_found_from_any_folder(tmp_path, monkeypatch, name, path):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == str(module.FOLDER / path)
    assert default_work_dir(find_config(name)) == os.path.join('work_dirs', path.removesuffix('.py'))


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('e2e_mf508m').write_text('model = dict()')
    assert find_config('e2e_mf508m') == 'e2e_mf508m'


@pytest.mark.parametrize(
    ('name', 'says'),
    [
        ('retinanet_mf26m', 'several configs are called so; name one of cpu/retinanet_mf26m, shapes/retinanet_mf26m'),
        ('cpu/retinanet_mf62m', 'no such config file; did you mean cpu/retinanet_mf26m'),
        ('e2e_mf50m', 'no such config file; did you mean e2e_mf508m'),
        ('swin_upernet_xl', 'no such config file; the shipped ones are in '),
        ('_base_/models/e2e_mf', 'no such config file; '),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(name, says):
    with pytest.raises(InputError) as error:
        find_config(name)
    assert str(error.value).startswith(f'{name}: {says}')


def test_configs_are_installed_with_the_package(tmp_path):
    pytest.importorskip('setuptools')
    command = [sys.executable, 'setup.py', '-q', 'egg_info', '-e', tmp_path, 'build_py', '-d', tmp_path / 'lib']
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=120)
    installed = tmp_path / 'lib' / 'mfdet' / 'configs'
    kept = sorted(path.relative_to(ROOT / 'configs') for path in (ROOT / 'configs').rglob('*.py'))
    assert sorted(path.relative_to(installed) for path in installed.rglob('*.py')) == kept
    code = 'from mfdet.engine.find_config import *; print(find_config("shapes/e2e_mf26m")); print(*shipped_configs())'
    env = dict(os.environ, PYTHONPATH=str(tmp_path / 'lib'))
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.stdout.split() == [str(installed / 'shapes' / 'e2e_mf26m.py'), *shipped_configs()], done.stderr
