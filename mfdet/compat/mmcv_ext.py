"""What ``mmcv._ext`` is where mmcv was installed without its compiled operators.

:mod:`mfdet.compat.finder` loads this file under that name. mmcv asks it for over a hundred operators when ``mmcv.ops``
is imported; those that detectors without special layers need work, the others raise when they are called.
"""

from mfdet.compat.focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from mfdet.compat.nms import nms, softnms

__all__ = ['nms', 'sigmoid_focal_loss_backward', 'sigmoid_focal_loss_forward', 'softnms']


def get_compiler_version() -> str:
    """What mmcv's report on the environment shows without compiled operators."""
    return 'n/a'


get_compiling_cuda_version = get_compiler_version


def __getattr__(name):
    if name.startswith('__'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def missing(*args, **kwargs):
        import mmcv

        # mmcv's setup.py compiles whenever it finds torch, hence no isolation; pip would otherwise reuse the wheel
        # without operators that it cached, or keep the installed one.
        raise NotImplementedError(
            f"mmcv operator {name!r} needs mmcv's compiled extension, which is not installed; build it with "
            '`pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation --no-binary onedl-mmcv '
            f'onedl-mmcv=={mmcv.__version__}` (needs a C++ compiler, and setuptools, wheel and packaging installed)'
        )

    return missing
