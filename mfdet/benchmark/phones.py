"""Detectors as files for phones, run on this computer, ready to be timed."""

import importlib
import json
import os

from mfdet.benchmark.runtimes import PHONES
from mfdet.export.phone_files import export_for_phones, quantize_for_phones
from mfdet.runtime.detector import MODELS
from mfdet.suppression import suppress


def function_of(runtime, name, model, inputs, folder, threads):
    """Return a function that runs a detector on one image, its non-maximum suppression included.

    Args:
        runtime: key of :data:`mfdet.benchmark.runtimes.PHONES`.
        name, folder: of the file that is made for it.
        model: the detector.
        inputs: images (1, 3, H, W) and sizes (1, 2), a dict of arrays.
        threads: CPU threads.
    """
    suffix = PHONES[runtime]
    path = os.path.join(folder, name + suffix)
    metadata = dict(version='0', normalized=True, fixed_size=inputs['images'].shape[2:])
    int8 = runtime.endswith('-int8')
    if not os.path.exists(path) and not (int8 and suffix == '.pte'):  # that is made of the model, LiteRT's of its file
        export_for_phones(model, metadata, path)
    if int8:
        source, path = path, os.path.join(folder, f'{name}-int8{suffix}')
        quantize_for_phones(model, source, path, metadata, [inputs])  # the ranges of noise, for timing alone
    kind = MODELS[suffix]
    loaded = kind(importlib.import_module(kind.module), path, threads)
    nms = json.loads(loaded.metadata).get('nms')

    def run():
        outputs = loaded.run(**inputs)
        return suppress(*outputs, **nms) if nms else outputs

    return run
