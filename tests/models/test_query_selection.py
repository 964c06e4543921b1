import dataclasses

import pytest
import torch
from mmengine.structures import InstanceData

from mfdet.layers.scales import scales_of
from mfdet.models.query_selection import NO_PEAK, PADDED, QuerySelection, moved


@pytest.fixture(scope='module')
def selection():
    torch.manual_seed(0)
    return QuerySelection([16, 12, 8], channels=16, num_classes=3, num_queries=5, query_dim=8).eval()


def make_cells(selection, batch=1, rows=8, columns=12, valid=None):
    generator = torch.Generator().manual_seed(1)
    feats = tuple(
        torch.randn(batch, c, rows // s, columns // s, generator=generator) for c, s in ((8, 1), (12, 2), (16, 4))
    )
    return selection.cells(scales_of(feats, valid))


@pytest.mark.parametrize('padded', [False, True])
def test_boxes_get_the_queries_of_cells_that_start_from_them(selection, padded):
    valid = None
    if padded:
        valid = torch.ones(2, 1, 8, 12, dtype=torch.bool)
        valid[1, :, :, 8:] = False
    _, cells = make_cells(selection, batch=2, valid=valid)
    some = torch.tensor([[0, 100, 300, 377], [5, 96, 289, 360]])
    priors = cells.priors.expand(2, -1, -1).gather(1, some[..., None].expand(-1, -1, 4))
    with torch.no_grad():
        found = selection.nearest(cells, priors + 1e-4)
        expected = selection.norm(selection.query(cells.features))
    for i in range(2):
        torch.testing.assert_close(found[i], expected[i, some[i]])
    if padded:  # a box beyond the image is given a cell of the image
        beyond = selection.nearest(cells, torch.full((2, 1, 4), 1.4))
        inside = expected[1, cells.valid[1]]
        assert (beyond[1] - inside).abs().sum(-1).min() < 1e-4


def test_steps_are_in_units_of_the_box():
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    torch.testing.assert_close(moved(boxes, torch.zeros(1, 4)), boxes)
    steps = torch.tensor([[0.5, -0.25, 0.0, 2.0]])
    torch.testing.assert_close(moved(boxes, steps), torch.tensor([[0.6, 0.4, 0.2, 0.4 * torch.e**2]]))
    assert moved(boxes, torch.full((1, 4), 1e9))[..., 2:].isfinite().all()


def test_in_16_bits_the_cells_of_a_wide_map_stay_apart(selection):
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        _, cells = make_cells(selection, columns=400)
    assert cells.logits.dtype == torch.bfloat16
    assert cells.boxes.dtype == torch.float32
    centres = cells.priors[0, : cells.counts[0] // len(selection.cell_sizes), 0]  # of the finest map, of one size
    assert len(centres.unique()) == 400


def test_boxes_of_a_cell_start_around_it_and_grow_to_those_of_the_next_map(selection):
    x, extent = torch.zeros(1, 16, 10, 20), torch.tensor([[20.0, 10.0]])
    priors = selection.priors(x, extent)[0, :, :, 3, 7]
    for prior, side in zip(priors, (2, 2 * 2 ** (1 / 3), 2 * 2 ** (2 / 3)), strict=True):
        torch.testing.assert_close(prior, torch.tensor([7.5 / 20, 3.5 / 10, side / 20, side / 10]))
    coarser = selection.priors(torch.zeros(1, 16, 5, 10), extent / 2)[0, 0, 2:, 0, 0]
    torch.testing.assert_close(coarser, 2 * priors[0, 2:])


def test_cells_come_by_scale_from_fine_to_coarse_then_by_box_then_by_place(selection):
    maps, cells = make_cells(selection, batch=2)
    assert [tuple(x.shape) for x in maps] == [(2, 16, 2, 3), (2, 16, 4, 6), (2, 16, 8, 12)]
    assert cells.counts == [288, 72, 18]
    assert cells.logits.shape == (2, 378, 3)
    with torch.no_grad():
        finest = selection.classify(selection.class_tower(maps[-1])).view(2, 3, 3, 96)  # box, class
        features = selection.class_tower(maps[-1]).flatten(2)
    for box in range(3):
        part = slice(96 * box, 96 * (box + 1))
        torch.testing.assert_close(cells.logits[:, part], finest[:, box].transpose(1, 2))
        torch.testing.assert_close(cells.features[:, part, :16], features.transpose(1, 2))
        sides = cells.priors[0, part, 2]
        torch.testing.assert_close(sides, torch.full_like(sides, 2 * 2 ** (box / 3) / 12))


def test_cells_start_to_learn_from_their_own_places(selection):
    _, cells = make_cells(selection)
    steps = selection.regress.weight.data.clone(), selection.regress.bias.data.clone()
    selection.regress.weight.data.zero_()
    selection.regress.bias.data.zero_()
    _, still = make_cells(selection)
    selection.regress.weight.data, selection.regress.bias.data = steps
    torch.testing.assert_close(still.boxes, still.priors)
    assert (cells.boxes - cells.priors).abs().max() > 0.01
    torch.testing.assert_close(still.logits, cells.logits)


def test_a_peak_is_the_best_of_its_cell_and_its_neighbours_in_its_class(selection):
    _, cells = make_cells(selection)
    logits, peaks = (x[0, :288].view(3, 8, 12, 3) for x in (cells.logits, cells.peaks))
    for row in range(8):
        for column in range(12):
            around = logits[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].amax((0, 1, 2))
            best = logits[:, row, column] == around
            torch.testing.assert_close(peaks[:, row, column], logits[:, row, column] - NO_PEAK * ~best)
    assert 0 < (peaks == logits).float().mean() < 0.2


def test_the_best_peaks_become_queries(selection):
    _, cells = make_cells(selection)
    lowered = torch.rand(cells.logits.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    cells = dataclasses.replace(cells, peaks=cells.logits - NO_PEAK * lowered)
    queries, boxes, logits = selection(cells)
    assert queries.shape == (1, 5, 8)
    best = cells.peaks[0].amax(-1).argsort(descending=True)[:5]
    assert best.tolist() != cells.logits[0].amax(-1).argsort(descending=True)[:5].tolist()
    torch.testing.assert_close(boxes[0], cells.boxes[0, best])
    torch.testing.assert_close(logits[0], cells.logits[0, best])
    torch.testing.assert_close(queries[0], selection.norm(selection.query(cells.features[0, best])))


def test_an_image_with_fewer_cells_than_queries(selection):
    _, cells = make_cells(selection, rows=4, columns=4)
    few = {name: getattr(cells, name)[:, :3] for name in ('logits', 'peaks', 'boxes', 'features')}
    few = dataclasses.replace(cells, **few)
    queries, boxes, logits = selection(few)
    assert queries.shape == (1, 5, 8)
    assert queries.isfinite().all()
    torch.testing.assert_close(boxes[0, 3:], torch.full((2, 4), 0.5))
    assert (logits[0, 3:] == PADDED).all()


def test_objects_are_given_cells_around_them_at_the_scale_of_their_size(selection):
    _, cells = make_cells(selection, batch=2, rows=16, columns=16)
    objects = [
        InstanceData(
            bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0], [0.0, 0.0, 128.0, 128.0]]), labels=torch.tensor([1, 2])
        ),
        InstanceData(bboxes=torch.tensor([[80.0, 90.0, 110.0, 120.0]]), labels=torch.tensor([0])),
    ]
    image, cell, target = selection.assign(cells, objects, torch.tensor([[128.0] * 4] * 2))
    assert image.tolist() == [min(t // 2, 1) for t in target.tolist()]
    scale = torch.bucketize(cell, torch.tensor(cells.counts).cumsum(0), right=True)
    for number, expected in ((0, {0, 1}), (1, {2}), (2, {0, 1})):  # 32 px: four cells of the finest, two of the next
        assert set(scale[target == number].tolist()) <= expected
        assert (target == number).sum() > 1
        box = torch.cat([item.bboxes for item in objects])[number] / 128
        centres = cells.priors[0, cell[target == number], :2]
        assert ((box[:2] < centres) & (centres < box[2:])).all()


def test_padding_is_given_no_object(selection):
    valid = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    valid[..., :8, :12] = True
    _, cells = make_cells(selection, rows=16, columns=16, valid=valid)
    objects = [InstanceData(bboxes=torch.tensor([[40.0, 20.0, 96.0, 64.0]]), labels=torch.tensor([1]))]
    _, cell, _ = selection.assign(cells, objects, torch.tensor([[96.0, 64.0, 96.0, 64.0]]))
    assert len(cell) > 1
    assert cells.valid[0, cell].all()
    assert (cells.logits[~cells.valid] == PADDED).all()
    at_the_edge = [InstanceData(bboxes=torch.tensor([[4.0, 16.0, 96.0, 64.0]]), labels=torch.tensor([1]))]
    centres = []
    for those in (cells, make_cells(selection)[1]):  # padded, and the image alone
        _, cell, _ = selection.assign(those, at_the_edge, torch.tensor([[96.0, 64.0, 96.0, 64.0]]))
        centres.append(those.priors[0, cell])
    torch.testing.assert_close(*centres)
    no_objects = [InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))]
    assert selection.assign(cells, no_objects, torch.tensor([[96.0, 64.0, 96.0, 64.0]]))[1].numel() == 0


def test_an_object_hardly_larger_than_a_cell_is_given_cells_around_it(selection):
    _, cells = make_cells(selection, rows=16, columns=16)  # of 8 pixels
    for side in (2.0, 10.0):
        box = torch.tensor([[60.0, 60.0, 60.0, 60.0]]) + torch.tensor([-side, -side, side, side]) / 2
        objects = [InstanceData(bboxes=box.clone(), labels=torch.tensor([0]))]
        _, cell, _ = selection.assign(cells, objects, torch.full((1, 4), 128.0))
        of_the_finest = cell[cell < cells.counts[0]] % 256
        assert {(int(n) // 16, int(n) % 16) for n in of_the_finest} >= {(6, 7), (7, 7), (8, 7)}
        assert objects[0].bboxes.equal(box)
