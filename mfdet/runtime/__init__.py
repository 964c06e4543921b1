"""Running exported detectors (ONNX, OpenVINO) with NumPy, OpenCV and onnxruntime or openvino, without torch."""

from mfdet.runtime.detector import Detections, Detector
from mfdet.runtime.images import read_image

__all__ = ['Detections', 'Detector', 'read_image']
