"""What a detector needs to be quantised: the package, and images to measure the ranges of activations on."""

import importlib.util
import os

from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES
from mfdet.runtime import read_image
from mfdet.runtime.preprocessing import collate

BATCH = 4


def check_nncf():
    """Check that what quantises for OpenVINO is installed.

    Raises:
        InputError: it is not.
    """
    if importlib.util.find_spec('nncf') is None:
        raise InputError('--precision int8 with OpenVINO needs nncf: pip install "mfdet[int8]"')


def check_ai_edge_quantizer():
    """Check that what quantises for LiteRT is installed.

    Raises:
        InputError: it is not.
    """
    if importlib.util.find_spec('ai_edge_quantizer') is None:
        raise InputError('--precision int8 with LiteRT needs ai-edge-quantizer: pip install "mfdet[litert]"')


def calibration_images(folder, limit=128):
    """Return the paths of the first ``limit`` images of a folder, by name.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not os.path.isdir(folder):
        raise InputError(f'--calibration {folder}: no such folder')
    paths = sorted(entry.path for entry in os.scandir(folder) if entry.name.lower().endswith(IMAGE_SUFFIXES))[:limit]
    if not paths:
        raise InputError(f'--calibration {folder}: it holds no images; name a folder with some of the training images')
    return paths


class Batches:
    """Prepared inputs, dicts of ``images`` and ``sizes``, for each few images, read as they are asked for.

    Args:
        paths: of the images; one that cannot be read is an error.
        metadata: of the detector.
    """

    def __init__(self, paths, metadata):
        count = 1 if metadata.get('fixed_size') else BATCH
        self.parts = [paths[start : start + count] for start in range(0, len(paths), count)]
        self.metadata = metadata

    def __len__(self):
        return len(self.parts)

    def __iter__(self):
        for part in self.parts:
            images, sizes, _ = collate([read_image(path) for path in part], self.metadata)
            yield dict(images=images, sizes=sizes)
