"""Importing this module registers everything of this package with mmdet; configs do so by ``custom_imports``."""

import mfdet.data.coco
import mfdet.data.shapes_dataset
import mfdet.data.transforms
import mfdet.engine.checkpoint
import mfdet.engine.draw
import mfdet.engine.ema
import mfdet.engine.exported_model
import mfdet.engine.loop
import mfdet.engine.report
import mfdet.evaluation.metric
import mfdet.models  # noqa: F401
