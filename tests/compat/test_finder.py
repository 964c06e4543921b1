import subprocess
import sys
from pathlib import Path

import mfdet
from mfdet.compat.finder import install


def python(*lines, cwd):
    """Run lines in a fresh interpreter that finds this package, and return what they print."""
    path = str(Path(mfdet.__file__).parents[1])
    code = '\n'.join([f'import sys; sys.path.insert(0, {path!r})', *lines])
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=cwd, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_mfdet_is_light_and_makes_mmdet_importable(tmp_path):
    output = python(
        'import mfdet',
        'print(sorted({"torch", "numpy", "mmcv", "mmengine", "mmdet"} & set(sys.modules)))',
        'import mmdet.models, mmcv._ext',
        'print(mmcv._ext.__name__, mmcv._ext.__spec__.name)',
        'from mmengine.utils.dl_utils import mmcv_full_available',
        'print(mmcv_full_available())',
        cwd=tmp_path,
    )
    assert output == ['[]', 'mmcv._ext', 'mmcv._ext', 'True']


def test_a_compiled_extension_wins(tmp_path):
    # A package of this name is enough: the finders that look along its path do not care what is in it.
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').touch()
    find = 'import mfdet, importlib.util; print(importlib.util.find_spec("mmcv._ext").origin)'
    lines = [f'sys.path.insert(0, {str(tmp_path)!r})', find]
    (stand_in,) = python(*lines, cwd=tmp_path)
    assert stand_in.endswith('mmcv_ext.py')
    compiled = tmp_path / 'mmcv' / '_ext.py'
    compiled.touch()
    assert python(*lines, cwd=tmp_path) == [str(compiled)]


def test_install_is_idempotent_and_answers_for_one_name_only():
    before = list(sys.meta_path)
    install()
    assert sys.meta_path == before
    answered = [name for name in ('mmcv', 'mmcv._ext', 'mmcv._ext2', '_ext', 'mmcv._ext.x') if answer_for(name)]
    assert answered == ['mmcv._ext']


def answer_for(name):
    (ours,) = [finder for finder in sys.meta_path if getattr(finder, '__module__', '') == 'mfdet.compat.finder']
    return ours.find_spec(name, None)
