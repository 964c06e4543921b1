"""Running exported detectors (ONNX, OpenVINO, LiteRT, ExecuTorch) with NumPy, OpenCV and the runtime of their kind.

Of these executorch alone needs torch.
"""

from mfdet.runtime.detections import Detections
from mfdet.runtime.detector import Detector
from mfdet.runtime.images import read_image
from mfdet.runtime.tracking import Tracker

__all__ = ['Detections', 'Detector', 'Tracker', 'read_image']
