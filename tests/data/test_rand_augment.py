"""RandAugment beside Pillow, whose operations it takes."""

import collections

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from mfdet.data import rand_augment
from mfdet.data.rand_augment import OPERATIONS, MfdetRandAugment
from mfdet.errors import InputError

IMAGE = np.random.default_rng(0).normal(110, 35, (37, 50, 3)).clip(0, 255).astype(np.uint8)
PIL = Image.fromarray(np.ascontiguousarray(IMAGE[:, :, ::-1]))  # RGB


def bgr(image):
    return np.asarray(image)[:, :, ::-1].astype(int)


@pytest.fixture(params=[1, -1])
def sign(request, monkeypatch):
    monkeypatch.setattr(rand_augment, '_sign', lambda: request.param)
    return request.param


@pytest.mark.parametrize(
    ('operation', 'expected'),
    [
        (rand_augment.auto_contrast, ImageOps.autocontrast),
        (rand_augment.equalize, ImageOps.equalize),
        (lambda image: rand_augment.solarize(image, 0.75), lambda image: ImageOps.solarize(image, 64)),
        (lambda image: rand_augment.posterize(image, 0.5), lambda image: ImageOps.posterize(image, 6)),
    ],
    ids=['auto_contrast', 'equalize', 'solarize', 'posterize'],
)
def test_tables_are_those_of_pillow(operation, expected):
    assert not np.array_equal(operation(IMAGE), IMAGE)
    np.testing.assert_array_equal(operation(IMAGE), bgr(expected(PIL)))


@pytest.mark.parametrize(
    ('operation', 'enhancer'),
    [
        (rand_augment.color, ImageEnhance.Color),
        (rand_augment.contrast, ImageEnhance.Contrast),
        (rand_augment.brightness, ImageEnhance.Brightness),
        (rand_augment.sharpness, ImageEnhance.Sharpness),
    ],
    ids=['color', 'contrast', 'brightness', 'sharpness'],
)
def test_enhancements_are_those_of_pillow(sign, operation, enhancer):
    expected = bgr(enhancer(PIL).enhance(1 + sign * 0.9 * 0.6))
    assert np.abs(operation(IMAGE, 0.6) - expected).max() <= 1  # Pillow rounds in other places
    assert np.abs(operation(IMAGE, 0.6) - IMAGE.astype(int)).mean() > 2


@pytest.mark.parametrize(('operation', 'axis'), [(rand_augment.translate_x, 1), (rand_augment.translate_y, 0)])
def test_shifts_are_a_share_of_the_side_and_filled_with_the_mean(sign, operation, axis):
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    shift = 9  # half of 0.45 of 40 pixels
    expected = np.roll(image, sign * shift, axis)
    filled = [slice(None)] * 2
    filled[axis] = slice(0, shift) if sign > 0 else slice(-shift, None)
    expected[tuple(filled)] = rand_augment.FILL
    np.testing.assert_array_equal(operation(image, 0.5), expected)


@pytest.mark.parametrize(('operation', 'axis'), [(rand_augment.shear_x, 0), (rand_augment.shear_y, 1)])
def test_shears_move_what_is_far_from_the_middle(sign, operation, axis):
    image = np.full((41, 41, 3), rand_augment.FILL, np.uint8)
    (image if axis == 0 else image.swapaxes(0, 1))[:, 20] = 255  # a line through the middle
    sheared = operation(image, 1.0)
    sheared = sheared if axis == 0 else sheared.swapaxes(0, 1)
    # 0.3 of the 20 pixels to the edge, in opposite directions.
    assert sheared[0, 20 - sign * 6].min() == sheared[20, 20].min() == sheared[40, 20 + sign * 6].min() == 255


def test_rotation_is_up_to_30_degrees(sign):
    image = np.zeros((61, 61, 3), np.uint8)
    image[28:33, 53:58] = 255  # 25 pixels to the right of the middle
    y, x = (axis.mean() for axis in np.nonzero(rand_augment.rotate(image, 1.0)[:, :, 0] > 200))
    assert x - 30 == pytest.approx(25 * np.cos(np.pi / 6), abs=0.5)
    assert y - 30 == pytest.approx(sign * 25 * np.sin(np.pi / 6), abs=0.5)


@pytest.mark.parametrize('operation', OPERATIONS, ids=lambda operation: operation.__name__)
def test_operations_grow_with_the_strength_and_keep_their_input(sign, operation):
    before = IMAGE.copy()
    weak, strong = operation(IMAGE, 0.0), operation(IMAGE, 1.0)
    np.testing.assert_array_equal(IMAGE, before)
    assert weak.dtype == strong.dtype == np.uint8
    assert weak.shape == strong.shape == IMAGE.shape
    if operation not in (rand_augment.auto_contrast, rand_augment.equalize):  # they have no strength
        np.testing.assert_array_equal(weak, IMAGE)
        assert np.array_equal(strong, IMAGE) == (operation is rand_augment.identity)


def test_one_colour_is_left_alone():
    image = np.full((8, 8, 3), 77, np.uint8)
    for operation in (rand_augment.auto_contrast, rand_augment.equalize):
        np.testing.assert_array_equal(operation(image), image)


def drawn(monkeypatch, count=1500, **options):
    calls = []

    def spy(number):
        return lambda image, strength: (calls.append((number, strength)), image)[1]

    monkeypatch.setattr(rand_augment, 'OPERATIONS', [spy(number) for number in range(len(OPERATIONS))])
    np.random.seed(0)
    transform = MfdetRandAugment(**options)
    for _ in range(count):
        transform(dict(img=IMAGE))
    return calls


def test_operations_are_drawn_evenly_and_magnitudes_normally(monkeypatch):
    calls = drawn(monkeypatch, magnitude=9, magnitude_std=0.5)
    assert len(calls) == 3000
    counts = collections.Counter(number for number, _ in calls)
    assert len(counts) == 14
    assert all(150 < count < 280 for count in counts.values())  # 214 each
    strengths = np.array([strength for _, strength in calls])
    assert strengths.max() == 1.0  # cut off
    assert np.median(strengths) == pytest.approx(0.9, abs=0.005)
    assert strengths[strengths < 0.9].min() < 0.78
    assert np.sqrt(((strengths[strengths < 0.9] - 0.9) ** 2).mean()) == pytest.approx(0.05, abs=0.005)


def test_the_paper_has_one_magnitude_and_applies_each(monkeypatch):
    assert {strength for _, strength in drawn(monkeypatch, 20, magnitude=5, num_ops=3)} == {0.5}
    assert len(drawn(monkeypatch, 20, num_ops=3)) == 60
    assert 350 < len(drawn(monkeypatch, 400, probability=0.5)) < 450  # half of 800


@pytest.mark.parametrize('wrong', [dict(magnitude=11), dict(magnitude_std=-1), dict(num_ops=0), dict(probability=2)])
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        MfdetRandAugment(**wrong)
