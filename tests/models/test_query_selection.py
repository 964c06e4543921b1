import pytest
import torch
from mmengine.structures import InstanceData

from mfdet.models.e2e_head import scales_of
from mfdet.models.query_selection import BESIDE, PADDED, QuerySelection


@pytest.fixture(scope='module')
def selection():
    torch.manual_seed(0)
    return QuerySelection([16, 12, 8], channels=16, num_classes=3, num_queries=5, query_dim=8).eval()


def cells_of(selection, batch=1, height=8, width=12):
    generator = torch.Generator().manual_seed(0)
    sizes = [(channels, -(-height // s), -(-width // s)) for channels, s in ((8, 1), (12, 2), (16, 4))]
    scales = scales_of(tuple(torch.randn(batch, *size, generator=generator) for size in sizes), None)
    maps = selection.maps(scales)
    return maps, selection.cells(maps, scales)


def test_cells_start_on_boxes_of_three_cells_around_themselves(selection):
    x, extent = torch.zeros(1, 16, 10, 20), torch.tensor([[20.0, 10.0]])
    boxes = selection.anchors(x, extent)[0]
    torch.testing.assert_close(boxes[:, 3, 7], torch.tensor([7.5 / 20, 3.5 / 10, 3 / 20, 3 / 10]))


def test_cells_come_from_fine_to_coarse_and_empty_ones_last(selection):
    maps, cells = cells_of(selection, batch=2)
    assert [tuple(x.shape) for x in maps] == [(2, 16, 2, 3), (2, 16, 4, 6), (2, 16, 8, 12)]
    assert [part.shape[1] for part in cells.anchors] == [96, 24, 6]
    assert cells.logits.shape == (2, 96 + 24 + 6 + 5, 3)
    assert (cells.logits[:, -5:] == PADDED).all()
    assert (cells.ranks[:, -5:] == PADDED).all()
    assert (cells.features[:, -5:] == 0).all()
    finest = selection.classify(selection.class_towers[-1](maps[-1]))
    torch.testing.assert_close(cells.logits[:, :96], finest.flatten(2).transpose(1, 2))
    columns = cells.references.sigmoid()[:, :96, 0].view(2, 8, 12)
    assert columns.diff(dim=2).mean().item() == pytest.approx(1 / 12, abs=0.02)


def test_peaks_come_before_the_cells_beside_them(selection):
    _, cells = cells_of(selection)
    score = cells.logits[0, :96].amax(-1).view(8, 12)
    rank = cells.ranks[0, :96].view(8, 12)
    for row in range(8):
        for column in range(12):
            around = score[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            expected = score[row, column] + (0 if score[row, column] >= around.max() else BESIDE)
            assert rank[row, column] == expected


def test_the_best_cells_become_queries(selection):
    _, cells = cells_of(selection)
    queries, boxes, logits = selection(cells)
    assert queries.shape == (1, 5, 8)
    best = cells.ranks[0].argsort(descending=True)[:5]
    torch.testing.assert_close(boxes[0], cells.references[0, best].sigmoid())
    torch.testing.assert_close(logits[0], cells.logits[0, best])
    torch.testing.assert_close(queries[0], selection.norm(selection.query(cells.features[0, best])))


def test_an_image_with_fewer_cells_than_queries(selection):
    _, cells = cells_of(selection, height=1, width=1)
    queries, boxes, _ = selection(cells)
    assert queries.shape == (1, 5, 8)
    assert queries.isfinite().all()
    torch.testing.assert_close(boxes[0, 3:], torch.full((2, 4), 0.5))


def test_cells_around_the_centre_of_an_object_learn_it(selection):
    _, cells = cells_of(selection, batch=2, height=32, width=48)
    sizes = torch.tensor([[384.0, 256.0] * 2] * 2)
    boxes = torch.tensor([[100.0, 60, 124, 84], [200, 100, 300, 220]])
    objects = [
        InstanceData(bboxes=torch.empty(0, 4), labels=torch.empty(0, dtype=torch.long)),
        InstanceData(bboxes=boxes, labels=torch.tensor([2, 0])),
    ]
    block, image, cell, target = selection.pairs(cells, objects, sizes)
    assert (block == 0).all()
    assert (image == 1).all()
    assert target.unique().tolist() == [0, 1]
    centres = torch.cat(cells.anchors, 1)[0, cell, :2] * sizes[0, :2]
    assert (centres > boxes[target, :2]).all()
    assert (centres < boxes[target, 2:]).all()
    scale = torch.tensor([0] * 32 * 48 + [1] * 16 * 24 + [2] * 8 * 12)[cell]
    assert scale[target == 0].max() == 0  # of 24 pixels: cells of 8
    assert scale[target == 1].min() > 0


def test_no_objects(selection):
    _, cells = cells_of(selection)
    objects = [InstanceData(bboxes=torch.empty(0, 4), labels=torch.empty(0, dtype=torch.long))]
    assert [len(part) for part in selection.pairs(cells, objects, torch.tensor([[96.0, 64.0] * 2]))] == [0] * 4
