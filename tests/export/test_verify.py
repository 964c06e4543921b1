import numpy as np
import pytest

from mfdet.engine.inference import load_model
from mfdet.errors import InputError
from mfdet.export.graph import build_graph
from mfdet.export.metadata import describe
from mfdet.export.verify import compare, sizes_to_try, verify

ONE = (np.float32([[10, 10, 50, 60], [5, 5, 20, 20]]), np.float32([0.9, 0.6]), np.array([1, 0]))


def changed(part, index, value):
    copy = tuple(array.copy() for array in ONE)
    copy[part][index] = value
    return copy


def test_same_detections_in_another_order_agree():
    swapped = tuple(array[::-1] for array in ONE)
    assert compare(ONE, swapped, 0.01) == (0, 0.0, 0.0)


@pytest.mark.parametrize('other', [changed(0, (0, 2), 50.1), changed(1, 0, 0.91), changed(2, 0, 2)])
def test_each_difference_is_counted_from_both_sides(other):
    assert compare(ONE, other, 0.01)[0] == 2


def test_a_missing_detection_counts_unless_it_may_have_been_cut_off():
    first, last, none = (tuple(array[part] for array in ONE) for part in (slice(1), slice(1, 2), slice(0)))
    assert compare(ONE, last, 0.01)[0] == 1
    assert compare(ONE, first, 0.01)[0] == 1
    assert compare(ONE, none, 0.01)[0] == 2
    assert compare(none, ONE, 0.01)[0] == 2
    assert compare(ONE, first, 0.01, score_thr=0.59995)[0] == 0  # just above the threshold
    assert compare(ONE, first, 0.01, capacity=1)[0] == 0  # the other side was full
    assert compare(ONE, last, 0.01, capacity=1)[0] == 1  # and yet the better one should be there


def test_small_differences_are_measured():
    unmatched, box_error, score_error = compare(ONE, changed(0, (1, 0), 5.004), 0.01)
    assert unmatched == 0
    assert box_error == pytest.approx(0.004, abs=1e-5)
    assert score_error == 0


def test_sizes_to_try_hold_the_test_size_and_an_odd_one():
    sizes = sizes_to_try(dict(resize=dict(scale=[1333, 800], keep_ratio=True)))
    assert sizes[0] == (800, 1067)
    assert sizes[1][0] % 2 == sizes[1][1] % 2 == 1
    assert len(set(sizes)) == 3


def test_a_wrong_export_fails_loudly(trained):
    _, config_file, checkpoint = trained
    model, config, classes = load_model(config_file, checkpoint)
    metadata = describe(model, config, classes)
    graph = build_graph(model)

    def run(images, sizes, shift=0.0):
        import torch

        with torch.no_grad():
            boxes, scores, labels = graph(torch.from_numpy(images), torch.from_numpy(sizes))
        return (boxes + shift).numpy(), scores.numpy(), labels.numpy()

    *errors, compared = verify(model, run, metadata, 'right')
    assert max(errors) < 1e-3
    assert compared > 20
    with pytest.raises(InputError, match='wrong differs from the PyTorch model'):
        verify(model, lambda *inputs: run(*inputs, shift=0.01), metadata, 'wrong')
    for spoil in (
        lambda outputs: tuple(part[:, ::-1] for part in outputs),
        lambda outputs: tuple(part * np.nan for part in outputs),
    ):
        with pytest.raises(InputError, match='scores that do not fall, or numbers that are not finite'):
            verify(model, lambda *inputs, spoil=spoil: spoil(run(*inputs)), metadata, 'wrong')

    def best_alone(images, sizes):
        boxes, scores, labels = run(images, sizes)
        return boxes, scores * (np.arange(scores.shape[1]) < 1), labels

    with pytest.raises(InputError, match='wrong differs from the PyTorch model'):
        verify(model, best_alone, metadata, 'wrong')
    with pytest.raises(InputError, match='batch of 3'):  # right alone, wrong in a batch
        verify(model, lambda *inputs: run(*inputs, shift=0.01 * (len(inputs[0]) > 1)), metadata, 'wrong')


def test_a_fixed_size_is_what_images_are_padded_to(trained):
    _, config_file, checkpoint = trained
    model, config, classes = load_model(config_file, checkpoint, {'model.data_preprocessor.pad_size_divisor': 96})
    assert describe(model, config, classes)['pad_divisor'] == 96
    assert describe(model, config, classes, fixed_size=(128, 160))['pad_divisor'] == 32
