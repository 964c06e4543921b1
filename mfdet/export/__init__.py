"""Exporting trained models: graphs, ONNX, OpenVINO, INT8, weights, and the check of each.

The package can be called: ``mfdet.export(checkpoint, output)`` is :func:`mfdet.api.export`.
"""

import sys
import types


class _CallablePackage(types.ModuleType):
    def __call__(self, *args, **options):
        """Export a trained model, see :func:`mfdet.api.export`."""
        from mfdet.api import export

        return export(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage  # or the function would hide the package, or the reverse
