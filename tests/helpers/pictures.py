"""Images and videos of one grey, for a detector whose scores follow it (tiny_model.py)."""

import os

import cv2
import numpy as np
import pytest


def grey(path, value=204, size=(40, 60)):
    """Write a grey image of a height and a width; the detector's scores are value/255 and half of that."""
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    cv2.imwrite(path, np.full((*size, 3), value, np.uint8))
    return path


def video(path, values=(50, 100, 150, 200, 250), size=(240, 320), fourcc='mp4v'):
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*fourcc), 10, size[::-1])
    if not writer.isOpened():
        pytest.skip('this build of OpenCV cannot write videos')
    for value in values:
        writer.write(np.full((*size, 3), value, np.uint8))
    writer.release()
    return path
