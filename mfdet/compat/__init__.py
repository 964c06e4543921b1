"""Makes mmdet importable and usable where mmcv was installed without its compiled operators."""

import contextlib
import io

from mfdet.compat.distributions import check_distributions, check_environment, check_opencv
from mfdet.compat.finder import install

__all__ = ['check_distributions', 'check_environment', 'check_opencv', 'install', 'quiet']


def quiet():
    """Return a context that keeps off the screen what is printed for nobody, such as pycocotools' progress."""
    return contextlib.redirect_stdout(io.StringIO())
