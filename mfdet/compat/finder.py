"""Answers ``import mmcv._ext`` where mmcv was installed without its compiled operators."""

import sys
from importlib.util import spec_from_file_location
from pathlib import Path


class _Finder:
    """A meta path finder for ``mmcv._ext`` alone; torch is first imported when that module is."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname != 'mmcv._ext':
            return None
        return spec_from_file_location(fullname, Path(__file__).with_name('mmcv_ext.py'))


def install():
    """Let :mod:`mfdet.compat.mmcv_ext` stand in for ``mmcv._ext``; further calls change nothing.

    The finder is the last to be asked, so that a compiled ``mmcv._ext`` is always preferred.
    """
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)
