import pytest
import torch
from mmcv.ops import nms
from mmdet.structures import DetDataSample

from mfdet.errors import InputError
from mfdet.export.graph import build_graph, keep_by_nms
from mfdet.models.e2e_detector import inside

SIZES = torch.tensor([[96, 70], [50, 128], [33, 40]])


def make_batch(normalized=True):
    torch.manual_seed(1)
    raw = torch.randint(256, (3, 3, 96, 128)).float() * inside(SIZES, torch.empty(3, 3, 96, 128))
    if not normalized:
        return raw
    mean, std = torch.tensor([[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]]).view(2, 3, 1, 1)
    return (raw[:, [2, 1, 0]] - mean) / std * inside(SIZES, raw)


@pytest.mark.parametrize('normalized', [True, False])
def test_graph_equals_the_prediction_of_mmdet(trained, normalized):
    model = trained[0]
    samples = [DetDataSample(metainfo=dict(img_shape=tuple(size), scale_factor=(1.0, 1.0))) for size in SIZES.tolist()]
    with torch.no_grad():
        expected = [sample.pred_instances for sample in model.predict(make_batch(), samples, rescale=False)]
        boxes, scores, labels = build_graph(model, normalized)(make_batch(normalized), SIZES)
    for i, found in enumerate(expected):
        count = len(found)
        assert count == (scores[i] > 0).sum() > 0
        torch.testing.assert_close(scores[i, :count], found.scores, atol=1e-5, rtol=0)
        torch.testing.assert_close(boxes[i, :count], found.bboxes, atol=1e-3, rtol=0)
        assert torch.equal(labels[i, :count], found.labels)
        assert (boxes[i, count:] == 0).all()


def test_keep_by_nms_is_nms_above_a_score():
    torch.manual_seed(0)
    corners = torch.rand(2, 40, 2) * 60
    boxes, scores = torch.cat([corners, corners + 20], -1), torch.rand(2, 40)
    keep = keep_by_nms(boxes, scores, 5, 0.4, 0.3)
    for i in range(2):
        above = (scores[i] > 0.3).nonzero()[:, 0]
        _, kept = nms(boxes[i, above], scores[i, above], 0.4)
        assert len(kept) > 5
        assert set(keep[i].nonzero()[:, 0].tolist()) == set(above[kept[:5]].tolist())


def test_what_cannot_be_exported_is_named(trained):
    model = trained[0]
    with pytest.raises(InputError, match='Linear cannot be exported'):
        build_graph(torch.nn.Linear(2, 2))
    if type(model).__name__ == 'RetinaNet':
        kind = model.test_cfg.nms
        try:
            kind['type'] = 'soft_nms'
            with pytest.raises(InputError, match=r"test_cfg.nms must be dict\(type='nms'"):
                build_graph(model)
        finally:
            kind['type'] = 'nms'
        for option, value in (('min_bbox_size', 12), ('nms_pre', -1), ('max_per_img', 51)):
            kept = model.test_cfg[option]
            model.test_cfg[option] = value
            with pytest.raises(InputError, match='to be exported'):
                build_graph(model)
            model.test_cfg[option] = kept
