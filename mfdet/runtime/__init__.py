"""Running exported detectors (ONNX, OpenVINO) with NumPy, OpenCV and onnxruntime or openvino, without torch."""

from mfdet.runtime.detections import Detections
from mfdet.runtime.detector import Detector
from mfdet.runtime.images import read_image

__all__ = ['Detections', 'Detector', 'read_image']
