"""What the commands on detection look at in a model."""

import pytest
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mfdet.commands._detection import smallest_anchor
from mfdet.engine.config import load_config


@pytest.mark.parametrize(
    ('config', 'side', 'scale'),
    [
        ('small/retinanet_mf151m', 32, 4),
        ('cpu/retinanet_mf26m', 16, 2),
        ('ssdlite_mf151m', None, None),
        ('cpu/e2e_mf26m', None, None),
    ],
)
def test_smallest_anchor(config, side, scale):
    init_default_scope('mmdet')
    head = MODELS.build(load_config(config).model.bbox_head)
    assert smallest_anchor(head) == (side and pytest.approx(side), scale)
