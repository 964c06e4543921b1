import pytest
import torch

from mfdet.models.e2e_head import scales_of
from mfdet.models.query_selection import PADDED, QuerySelection


@pytest.fixture(scope='module')
def selection():
    torch.manual_seed(0)
    return QuerySelection([16, 12, 8], channels=16, num_classes=3, num_queries=5, query_dim=8).eval()


def test_cells_start_on_boxes_of_four_cells_around_themselves(selection):
    x, extent = torch.zeros(1, 16, 10, 20), torch.tensor([[20.0, 10.0]])
    boxes = selection.anchors(x, extent).sigmoid()[0]
    torch.testing.assert_close(boxes[:, 3, 7], torch.tensor([7.5 / 20, 3.5 / 10, 4 / 20, 4 / 10]))


def test_cells_come_from_fine_to_coarse_and_empty_ones_last(selection):
    feats = tuple(torch.randn(2, c, 8 // s, 12 // s) for c, s in ((8, 1), (12, 2), (16, 4)))
    scales = scales_of(feats, None)
    maps = selection.maps(scales)
    assert [tuple(x.shape) for x in maps] == [(2, 16, 2, 3), (2, 16, 4, 6), (2, 16, 8, 12)]
    cells = selection.cells(maps, scales)
    assert cells.logits.shape == (2, 96 + 24 + 6 + 5, 3)
    assert (cells.logits[:, -5:] == PADDED).all()
    assert (cells.features[:, -5:] == 0).all()
    with torch.no_grad():
        finest = selection.classify(selection.towers[-1](maps[-1]))
    torch.testing.assert_close(cells.logits[:, :96], finest.flatten(2).transpose(1, 2))


def test_the_best_cells_become_queries(selection):
    feats = tuple(torch.randn(1, c, 8 // s, 12 // s) for c, s in ((8, 1), (12, 2), (16, 4)))
    scales = scales_of(feats, None)
    cells = selection.cells(selection.maps(scales), scales)
    queries, boxes, logits = selection(cells)
    assert queries.shape == (1, 5, 8)
    best = cells.logits[0].amax(-1).argsort(descending=True)[:5]
    torch.testing.assert_close(boxes[0], cells.references[0, best].sigmoid())
    torch.testing.assert_close(logits[0], cells.logits[0, best])
    torch.testing.assert_close(queries[0], selection.norm(selection.query(cells.features[0, best])))


def test_an_image_with_fewer_cells_than_queries(selection):
    feats = tuple(torch.randn(1, c, 1, 1) for c in (8, 12, 16))
    scales = scales_of(feats, None)
    queries, boxes, _ = selection(selection.cells(selection.maps(scales), scales))
    assert queries.shape == (1, 5, 8)
    assert queries.isfinite().all()
    torch.testing.assert_close(boxes[0, 3:], torch.full((2, 4), 0.5))
