"""mfdet: object detection with Mobile-Former (Chen et al., CVPR 2022).

Importing this package stays light: it pulls in neither torch nor the mm packages. It only makes sure that ``mmdet``
can be imported later where mmcv has no compiled operators (see :mod:`mfdet.compat`).
"""

import importlib
from typing import TYPE_CHECKING

from mfdet import compat

if TYPE_CHECKING:  # for editors, and for the pages of the documentation
    from mfdet.api import TrainingRun, evaluate, export, train
    from mfdet.detector import load_detector

__all__ = ['TrainingRun', 'evaluate', 'export', 'load_detector', 'train']
__version__ = '0.1.0'

compat.install()


ON_DEMAND = {  # name: module; what they need is imported when they are asked for
    'load_detector': 'mfdet.detector',
    **dict.fromkeys(('TrainingRun', 'evaluate', 'train'), 'mfdet.api'),
}


def __getattr__(name):
    if name in ON_DEMAND:
        return getattr(importlib.import_module(ON_DEMAND[name]), name)
    if name == 'export':  # the package, which can be called
        return importlib.import_module('mfdet.export')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
