import numpy as np
import pytest
import torch

from mfdet.errors import InputError
from mfdet.evaluation.top_k import TopKAccuracy, format_worst, rank_of


def samples(labels, scores):
    return [
        dict(gt_label=label, pred_scores=torch.tensor(row), img_path=f'{i}.png')
        for i, (label, row) in enumerate(zip(labels, scores, strict=True))
    ]


def evaluate(labels, scores, classes='abcdefg', **options):
    metric = TopKAccuracy(**options)
    metric.dataset_meta = dict(classes=tuple(classes))
    metric.process({}, samples(labels, scores))
    return metric.evaluate(len(labels))


def test_counts_by_hand():
    scores = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.5, 0.1], [0.2, 0.5, 0.3]]
    assert evaluate([0, 1, 2, 2], scores, topk=(1, 2, 3)) == {
        'accuracy/top1': 25.0,
        'accuracy/top2': 75.0,
        'accuracy/top3': 100.0,
    }


def test_agrees_with_a_sort():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((200, 7), np.float32), rng.integers(0, 7, 200)
    order = np.argsort(-scores, axis=1)
    expected = {
        f'accuracy/top{k}': 100 * np.mean([y in row[:k] for y, row in zip(labels, order, strict=True)]) for k in (1, 5)
    }
    assert evaluate(labels.tolist(), scores.tolist()) == pytest.approx(expected)


def test_equal_scores_are_no_free_hits():
    scores = np.zeros(4)
    assert [rank_of(label, scores) for label in range(4)] == [0, 1, 2, 3]
    assert evaluate([0, 1, 2, 3], [[0.25] * 4] * 4)['accuracy/top1'] == 25.0


def test_a_score_that_is_not_finite_is_named():
    with pytest.raises(InputError, match=r'1\.png: its scores are not finite'):
        evaluate([0, 0], [[0.5, 0.5], [float('nan'), 0.5]])


def test_worst_classes_and_what_they_are_taken_for():
    labels, predicted = np.array([0, 0, 1, 1, 1, 3]), np.array([0, 0, 0, 2, 2, 1])
    lines = format_worst(labels, predicted, ['ant', 'beetle', 'cat', 'dog'], 2).splitlines()
    assert [line.split() for line in lines[1:]] == [['beetle', '3', '0.00', 'cat'], ['dog', '1', '0.00', 'beetle']]
    rows = format_worst(labels, predicted, ['ant', 'beetle', 'cat', 'dog'], 9).splitlines()[1:]
    assert rows[-1].split() == ['ant', '2', '100.00', '-']  # cat has no image


@pytest.mark.parametrize('topk', [(), (0,), (1, 2.5)])
def test_wrong_k_is_named(topk):
    with pytest.raises(InputError, match='topk must be whole numbers from 1 up'):
        TopKAccuracy(topk)
