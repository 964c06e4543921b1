"""What a lower precision costs and gains: AP and speed of two exported files."""

import functools

import numpy as np
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mfdet.benchmark.timing import by_turns
from mfdet.engine.exported_model import exported_model
from mfdet.runtime import Detector
from mfdet.values import rounded_up


def score(path, config):
    """Return the AP of an exported file on the config's test data."""
    model = exported_model(path, config)
    loader = Runner.build_dataloader(config.test_dataloader)
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        evaluator.process(model.test_step(batch), batch)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # no tables in between
    try:
        return evaluator.evaluate(len(loader.dataset))['coco/bbox_mAP']
    finally:
        logger.setLevel(level)


def speed_ratio(first, second, metadata, repeats=15):
    """Return the median time of ``first`` over that of ``second``, run by turns on one thread at the test size."""
    resize = metadata['resize'] or dict(scale=[96, 96])
    size = metadata.get('fixed_size') or [rounded_up(side) for side in sorted(resize['scale'])]
    images, sizes = np.zeros((1, 3, *size), np.float32), np.array([size])
    detectors = {path: Detector(path, threads=1) for path in (first, second)}
    times = by_turns({path: functools.partial(d.run, images, sizes) for path, d in detectors.items()}, repeats)
    return times[first] / times[second]
