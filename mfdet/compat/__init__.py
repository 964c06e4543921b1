"""Makes mmdet importable and usable where mmcv was installed without its compiled operators."""

from mfdet.compat.distributions import check_distributions, check_opencv
from mfdet.compat.finder import install

__all__ = ['check_distributions', 'check_opencv', 'install']
