"""Importing this module registers everything of this package with mmdet; configs do so by ``custom_imports``."""

import mfdet.data.classification
import mfdet.data.coco
import mfdet.data.image_folders
import mfdet.data.rand_augment
import mfdet.data.shapes_dataset
import mfdet.data.transforms
import mfdet.engine.checkpoint
import mfdet.engine.draw
import mfdet.engine.ema
import mfdet.engine.exported_model
import mfdet.engine.loop
import mfdet.engine.report
import mfdet.engine.settings
import mfdet.evaluation.metric
import mfdet.evaluation.top_k
import mfdet.models  # noqa: F401
