"""mfdet: object detection with Mobile-Former (Chen et al., CVPR 2022).

Importing this package stays light: it pulls in neither torch nor the mm packages. It only makes sure that ``mmdet``
can be imported later where mmcv has no compiled operators (see :mod:`mfdet.compat`).
"""

from mfdet import compat

__version__ = '0.1.0'

compat.install()


def __getattr__(name):
    if name == 'load_detector':  # on demand: it needs NumPy and OpenCV
        from mfdet.api import load_detector

        return load_detector
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
