import importlib
import sys
import types

import numpy as np
import pytest
import torch

import mfdet.compat.nms as module
from mfdet.compat.nms import nms, softnms

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')


@pytest.fixture(params=['own', 'torchvision'] if module._torchvision_nms('cpu') else ['own'])
def implementation(request, monkeypatch):
    """Run a test with the module's own computation and, where one works, with torchvision's."""
    if request.param == 'own':
        monkeypatch.setattr(module, '_torchvision_nms', lambda device_type: None)


@pytest.fixture
def no_probe_memory():
    """Forget what the probe for torchvision found, before and after the test."""
    module._torchvision_nms.cache_clear()
    yield
    module._torchvision_nms.cache_clear()


@pytest.fixture
def ops():
    """mmcv's public operators; importable once mfdet is."""
    return importlib.import_module('mmcv.ops')


def iou(box, boxes, offset=0):
    """IoU of a box with each of boxes (N, 4), in their precision."""
    with np.errstate(all='ignore'):
        width, height = np.maximum(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]) + offset, 0).T
        area = (box[2] - box[0] + offset) * (box[3] - box[1] + offset)
        areas = (boxes[:, 2] - boxes[:, 0] + offset) * (boxes[:, 3] - boxes[:, 1] + offset)
        return width * height / (area + areas - width * height)


def greedy(boxes, scores, threshold, offset=0):
    """Greedy NMS word for word, on numpy arrays."""
    threshold = boxes.dtype.type(threshold)
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if not (iou(boxes[i], boxes[kept], offset) > threshold).any():
            kept.append(i)
    return kept


def random_boxes(size, seed, integers=False):
    """Overlapping boxes (a few of zero or negative extent) and scores with ties if these are integers."""
    rng = np.random.default_rng(seed)
    span = 4 * size**0.5
    if integers:
        low, sides = rng.integers(0, int(span) + 1, (size, 2)), rng.integers(-1, 9, (size, 2))
        scores = rng.integers(0, 5, size) / 4
    else:
        low, sides = rng.uniform(0, span, (size, 2)), rng.uniform(-0.5, 9, (size, 2))
        scores = rng.normal(size=size)
    return np.concatenate([low, low + sides], 1).astype(np.float32), scores.astype(np.float32)


def run(boxes, scores, threshold, offset=0, device='cpu'):
    indices = nms(torch.from_numpy(boxes).to(device), torch.from_numpy(scores).to(device), threshold, offset)
    assert indices.dtype == torch.int64
    assert indices.device.type == device
    return indices.tolist()


@pytest.mark.usefixtures('implementation')
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('integers', [False, True], ids=['real', 'integer'])
@pytest.mark.parametrize('seed', range(6))
def test_nms_agrees_with_the_definition(seed, integers, offset):
    for size, threshold in [(2, 0.0), (11, 0.3), (40, 0.5), (90, 0.7)]:
        boxes, scores = random_boxes(size, seed, integers)
        assert run(boxes, scores, threshold, offset) == greedy(boxes, scores, threshold, offset)


@pytest.mark.usefixtures('implementation')
def test_nms_agrees_with_the_definition_for_many_boxes():
    boxes, scores = random_boxes(400, seed=0)
    assert run(boxes, scores, 0.1) == greedy(boxes, scores, 0.1)


@pytest.mark.usefixtures('implementation')
@pytest.mark.parametrize('offset', [0, 1])
def test_nms_finds_overlaps_with_boxes_of_very_different_size_and_place(offset):
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e3, 1e7, 1e17):  # rounding swallows an offset added to the last two
        boxes, scores = random_boxes(60, seed=1, integers=True)
        boxes = (boxes - 15) * np.float32(scale)
        boxes[::7, 2] += 50 * np.float32(scale)
        boxes[3::7, 0] -= 50 * np.float32(scale)
        boxes += rng.integers(0, 3, (60, 1)).astype(np.float32) * 100
        for threshold in (0.0, 0.2):
            assert run(boxes, scores, threshold, offset) == greedy(boxes, scores, threshold, offset)


@pytest.mark.usefixtures('implementation')
def test_nms_drops_every_comparable_box_below_a_negative_threshold():
    boxes = np.array([[0, 0, 1, 1], [50, 50, 51, 51], [-50, 0, -49, 1]], np.float32)
    assert run(boxes, np.array([0.1, 0.3, 0.2], np.float32), -0.1) == [1]


@pytest.mark.usefixtures('implementation')
def test_nms_neither_drops_a_box_that_is_not_a_number_nor_drops_others_by_it():
    boxes = np.array([[0, 0, 9, 9]] * 6, np.float32)
    boxes[0, 0] = boxes[2, 2] = boxes[4, 3] = np.nan
    assert run(boxes, np.linspace(0.9, 0.1, 6).astype(np.float32), 0.5) == [0, 1, 2, 4]


@pytest.mark.usefixtures('implementation')
def test_nms_of_none_and_of_one():
    assert run(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5) == []
    assert run(np.array([[1, 2, 3, 4]], np.float32), np.array([-1], np.float32), 0.5) == [0]


@pytest.mark.usefixtures('implementation')
def test_nms_visits_equal_scores_by_index():
    boxes = np.array([[8 * (i // 2), 0, 8 * (i // 2) + 4, 4] for i in range(600)], np.float32)
    assert run(boxes, np.full(600, 0.5, np.float32), 0.5) == list(range(0, 600, 2))


@pytest.mark.usefixtures('implementation')
def test_nms_keeps_a_box_whose_iou_equals_the_threshold():
    boxes = np.array([[0, 0, 10, 1], [0, 0, 6, 1]], np.float32)  # 0.6, which no float32 holds
    scores = np.array([0.9, 0.8], np.float32)
    assert run(boxes, scores, 0.6) == [0, 1]
    assert run(boxes, scores, 0.599999) == [0]


@pytest.mark.usefixtures('implementation')
def test_nms_of_degenerate_boxes():
    point, line, inverted, square = [3, 1, 3, 1], [0, 1, 4, 1], [4, 4, 0, 0], [0, 0, 4, 4]
    boxes = np.array([point, point, line, line, inverted, inverted, square, square], np.float32)
    scores = np.linspace(0.9, 0.2, 8).astype(np.float32)
    assert run(boxes, scores, 0.0) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures('implementation')
def test_nms_counts_the_last_pixel_with_an_offset():
    boxes, scores = np.array([[0, 0, 1, 0], [0, 0, 0, 0]], np.float32), np.array([0.5, 0.6], np.float32)
    assert run(boxes, scores, 0.4, offset=0) == [1, 0]
    assert run(boxes, scores, 0.4, offset=1) == [1]
    apart = np.array([[0, 0, 0.5, 0], [0.9, 0, 1.4, 0]], np.float32)  # with an offset, they share 0.6 of 1.5 pixels
    assert run(apart, scores, 0.2, offset=1) == [1]
    assert run(apart, -scores, 0.2, offset=1) == [0]


@pytest.mark.usefixtures('implementation')
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_computes_half_precision_in_float32(dtype):
    boxes, scores = (torch.from_numpy(array).to(dtype) for array in random_boxes(120, seed=1))
    boxes += 100  # areas of thousands, which float16 could not subtract exactly
    assert nms(boxes, scores, 0.3).tolist() == greedy(boxes.float().numpy(), scores.float().numpy(), 0.3)


@pytest.mark.usefixtures('implementation')
def test_nms_keeps_float64():
    boxes = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 0.5 + 1e-12]], dtype=torch.float64)
    scores = torch.tensor([0.5, 0.5 + 1e-12], dtype=torch.float64)
    assert nms(boxes, scores, 0.5).tolist() == [1]
    assert nms(boxes.float(), scores, 0.5).tolist() == [1, 0]


@needs_cuda
@pytest.mark.parametrize('offset', [0, 1])
def test_nms_on_cuda(offset):
    boxes, scores = random_boxes(400, seed=3, integers=True)
    assert run(boxes, scores, 0.3, offset, 'cuda') == greedy(boxes, scores, 0.3, offset)


def fake_torchvision(monkeypatch, function):
    torchvision, ops = types.ModuleType('torchvision'), types.ModuleType('torchvision.ops')
    torchvision.ops, ops.nms = ops, function
    monkeypatch.setitem(sys.modules, 'torchvision', torchvision)
    monkeypatch.setitem(sys.modules, 'torchvision.ops', ops)


@pytest.mark.usefixtures('no_probe_memory')
def test_a_working_torchvision_is_used_where_it_means_the_same(monkeypatch):
    calls = []

    def counted(boxes, scores, threshold):
        assert scores.dtype == boxes.dtype  # torchvision insists
        calls.append((boxes.dtype, threshold))
        return torch.tensor(greedy(boxes.numpy(), scores.numpy(), threshold))

    fake_torchvision(monkeypatch, counted)
    boxes, scores = random_boxes(50, seed=4)
    expected = greedy(boxes, scores, 0.6)
    assert run(boxes, scores, 0.6) == expected
    assert calls[1:] == [(torch.float32, float(np.float32(0.6)))]  # the first call is the probe
    run(boxes, scores, 0.6, offset=1)
    run(boxes.astype(np.float64), scores, 0.6)
    assert len(calls) == 2
    assert run(boxes, scores.astype(np.float64), 0.6) == expected
    assert len(calls) == 3


@pytest.mark.usefixtures('no_probe_memory')
@pytest.mark.parametrize('error', [RuntimeError('operator torchvision::nms does not exist'), NotImplementedError()])
def test_a_torchvision_that_raises_is_not_used(monkeypatch, error):
    calls = []

    def broken(*args):
        calls.append(args)
        raise error

    fake_torchvision(monkeypatch, broken)
    boxes, scores = random_boxes(50, seed=5)
    for _ in range(2):
        assert run(boxes, scores, 0.5) == greedy(boxes, scores, 0.5)
    assert len(calls) == 1


@pytest.mark.usefixtures('no_probe_memory')
def test_a_torchvision_that_fails_to_import_is_not_used(monkeypatch):
    class Broken:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.partition('.')[0] == 'torchvision':
                raise RuntimeError('operator torchvision::nms does not exist')

    monkeypatch.setattr(sys, 'meta_path', [Broken, *sys.meta_path])
    monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
    monkeypatch.delitem(sys.modules, 'torchvision.ops', raising=False)
    boxes, scores = random_boxes(50, seed=6)
    assert run(boxes, scores, 0.5) == greedy(boxes, scores, 0.5)


def test_nms_through_mmcv(ops):
    boxes, scores = random_boxes(300, seed=7)
    dets, indices = ops.nms(boxes, scores, 0.3, score_threshold=0.2, max_num=20)
    confident = np.flatnonzero(scores > 0.2)
    expected = confident[greedy(boxes[confident], scores[confident], 0.3)][:20]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(dets, np.concatenate([boxes, scores[:, None]], 1)[expected])


def test_batched_nms_through_mmcv(ops):
    boxes, scores = random_boxes(200, seed=8, integers=True)
    scores = np.linspace(0.9, 0.1, 200, dtype=np.float32)
    classes = np.random.default_rng(8).integers(0, 3, 200)
    expected = [np.flatnonzero(classes == c) for c in range(3)]
    expected = sorted(np.concatenate([rows[greedy(boxes[rows], scores[rows], 0.3)] for rows in expected]).tolist())
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(classes)
    for split in (10000, 10):
        dets, indices = ops.batched_nms(*tensors, {'type': 'nms', 'iou_threshold': 0.3, 'split_thr': split})
        assert indices.tolist() == expected
        torch.testing.assert_close(dets, torch.cat([tensors[0], tensors[1][:, None]], 1)[expected])


def soft(boxes, scores, threshold, sigma, min_score, method, offset):
    """Soft-NMS word for word: indices and scores of the boxes taken."""
    left, taken = dict(enumerate(scores.astype(float))), []
    while left:
        top = max(left, key=lambda i: (left[i], -i))
        taken.append((top, left.pop(top)))
        overlaps = np.nan_to_num(iou(boxes[top], boxes, offset))
        for i in list(left):
            overlap = overlaps[i]
            if method == 'gaussian':
                left[i] *= np.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                left[i] *= 1 - overlap if method == 'linear' else 0
            if left[i] < min_score:
                del left[i]
    return [i for i, _ in taken], [score for _, score in taken]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_softnms_agrees_with_the_definition(dtype, method, offset):
    for seed in range(4):
        boxes, scores = random_boxes(60, seed)
        scores = np.abs(scores)
        indices, after = soft(boxes.astype(np.float64), scores, 0.2, 0.4, 0.2, method, offset)
        dets = torch.full((60, 5), 7, dtype=dtype)
        number = ['naive', 'linear', 'gaussian'].index(method)
        boxes, scores = torch.from_numpy(boxes).to(dtype), torch.from_numpy(scores).to(dtype)
        untouched = scores.clone()
        result = softnms(boxes, scores, dets, 0.2, 0.4, 0.2, number, offset)
        assert result.dtype == torch.int64
        assert result.tolist() == indices
        assert 5 < len(indices) < 60
        torch.testing.assert_close(dets[: len(indices), :4], boxes[indices])
        torch.testing.assert_close(dets[: len(indices), 4], torch.tensor(after, dtype=dtype), rtol=1e-5, atol=1e-6)
        assert (dets[len(indices) :] == 7).all()
        assert torch.equal(scores, untouched)


def test_softnms_takes_the_first_box_whatever_its_score():
    dets = torch.zeros(2, 5)
    boxes = torch.tensor([[0.0, 0, 1, 1], [5, 5, 6, 6]])
    assert softnms(boxes, torch.tensor([0.1, 0.2]), dets, 0.5, 0.5, 0.9, 1, 0).tolist() == [1]
    assert softnms(boxes[:0], torch.zeros(0), dets[:0], 0.5, 0.5, 0.9, 1, 0).tolist() == []


def test_softnms_takes_equal_scores_by_index_and_ignores_overlaps_of_zero_area():
    dets = torch.zeros(3, 5)
    boxes = torch.tensor([[3.0, 1, 3, 1]]).repeat(3, 1)
    assert softnms(boxes, torch.tensor([0.5, 0.5, 0.6]), dets, 0.0, 0.5, 0.1, 2, 0).tolist() == [2, 0, 1]
    torch.testing.assert_close(dets[:, 4], torch.tensor([0.6, 0.5, 0.5]))


def test_soft_nms_through_mmcv(ops):
    boxes = [[4, 3, 5, 3], [4, 3, 5, 4], [3, 1, 3, 1], [3, 1, 3, 1], [3, 1, 3, 1], [3, 1, 3, 1]]
    boxes, scores = np.array(boxes, np.float32), np.array([0.9, 0.9, 0.5, 0.5, 0.4, 0], np.float32)
    dets, indices = ops.soft_nms(boxes, scores, 0.6, sigma=0.5)
    assert sorted(indices) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(dets, np.concatenate([boxes, scores[:, None]], 1)[indices])
    boxes, scores = (torch.from_numpy(array) for array in random_boxes(60, seed=9))
    dets, indices = ops.soft_nms(boxes, scores.abs(), 0.3, min_score=0.05, method='linear')
    expected, after = soft(boxes.numpy(), scores.abs().numpy(), 0.3, 0.5, 0.05, 'linear', 0)
    assert indices.tolist() == expected
    torch.testing.assert_close(dets[:, 4], torch.tensor(after, dtype=torch.float32), rtol=1e-5, atol=1e-6)
