import sys

import pytest

from mfdet.compat import check_distributions, check_environment, check_opencv
from mfdet.errors import InputError


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A function that makes the given distributions, ``name==version``, the only installed ones."""

    def install(*requirements):
        for requirement in requirements:
            name, version = requirement.split('==')
            folder = tmp_path / f'{name.replace("-", "_")}-{version}.dist-info'
            folder.mkdir()
            (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        monkeypatch.setattr(sys, 'path', [str(tmp_path)])

    return install


@pytest.mark.parametrize(
    'requirements',
    [
        [],
        ['onedl-mmcv==2.3.6', 'onedl-mmdetection==3.5.1', 'onedl-mmengine==0.10.12'],
        ['mmcv==2.1.0', 'mmdet==3.3.0', 'mmengine==0.10.4'],
        ['mmcv-lite==2.1.0', 'onedl-mmengine==0.10.12'],
    ],
)
def test_either_an_original_or_its_fork_is_fine(installed, requirements):
    installed(*requirements)
    check_distributions()


@pytest.mark.parametrize(
    ('original', 'fork'),
    [
        ('mmcv', 'onedl-mmcv'),
        ('mmcv-lite', 'onedl-mmcv'),
        ('mmcv-full', 'onedl-mmcv'),
        ('mmdet', 'onedl-mmdetection'),
        ('mmengine', 'onedl-mmengine'),
        ('mmengine-lite', 'onedl-mmengine'),
    ],
)
def test_an_original_beside_its_fork_is_named(installed, original, fork):
    installed(f'{original}==1.2.3', f'{fork}==4.5.6')
    with pytest.raises(InputError) as caught:
        check_distributions()
    message = str(caught.value)
    assert f'{original} 1.2.3 beside {fork} 4.5.6' in message
    uninstall, reinstall = message.split('`')[1::2]
    assert uninstall == f'pip uninstall -y {original}'
    assert reinstall == f'pip install --force-reinstall --no-deps {fork}==4.5.6'


def test_all_are_named_at_once(installed):
    installed('mmcv==2.1.0', 'mmcv-lite==2.1.0', 'onedl-mmcv==2.3.6', 'mmdet==3.3.0', 'onedl-mmdetection==3.5.1')
    with pytest.raises(InputError) as caught:
        check_distributions()
    message = str(caught.value)
    assert 'mmcv 2.1.0 and mmcv-lite 2.1.0 beside onedl-mmcv 2.3.6, mmdet 3.3.0 beside' in message
    assert '`pip uninstall -y mmcv mmcv-lite mmdet`' in message
    assert message.endswith('onedl-mmcv==2.3.6 onedl-mmdetection==3.5.1`')


@pytest.fixture
def fake_cv2(monkeypatch, tmp_path):
    """A function that makes ``import cv2`` run the given line."""

    def install(line):
        (tmp_path / 'cv2.py').write_text(line)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(sys.modules, 'cv2', None)  # so that what is loaded now is put back afterwards
        del sys.modules['cv2']

    return install


@pytest.mark.parametrize('library', ['libGL.so.1', 'libgthread-2.0.so.0'])
def test_a_library_that_opencv_lacks_is_named(fake_cv2, library):
    fake_cv2(f'raise ImportError("{library}: cannot open shared object file: No such file or directory")')
    with pytest.raises(InputError, match=rf'{library}.*`pip uninstall -y opencv-python .*`pip install opencv-python-h'):
        check_opencv()


def test_other_opencv_failures_are_left_alone(fake_cv2):
    fake_cv2('raise ImportError("numpy.core.multiarray failed to import")')
    with pytest.raises(ImportError, match='multiarray'):
        check_opencv()
    fake_cv2('')
    check_opencv()


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None if name in ('torch', 'mmdet') else 1)
    with pytest.raises(InputError, match=r'torch and mmdet cannot be found; .*mfdet\[train\]'):
        check_environment()
