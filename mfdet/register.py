"""Importing this module registers everything of this package with mmdet; configs do so by ``custom_imports``."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):  # mmdet prints a line about a package that nothing here needs
    import mmdet.datasets  # noqa: F401

import mfdet.data.coco
import mfdet.data.shapes_dataset
import mfdet.engine.checkpoint
import mfdet.engine.draw
import mfdet.engine.report
import mfdet.evaluation.metric
import mfdet.models  # noqa: F401
