"""What data sets hold, and what is said of it before a training."""

import dataclasses

import pytest

from mfdet.data.counts import Counts, compare_counts, count_items, count_objects, fit_warnings
from mfdet.data.shapes import to_coco
from mfdet.data.shapes_dataset import ShapesDataset

COUNTS = dict(
    images=[dict(id=i) for i in range(4)],
    categories=[dict(id=7, name='dog'), dict(id=3, name='cat'), dict(id=9, name='eel')],
    annotations=[
        dict(image_id=0, category_id=3),
        dict(image_id=0, category_id=3, iscrowd=0),
        dict(image_id=1, category_id=7),
        dict(image_id=2, category_id=9, iscrowd=1),
        dict(image_id=[2], category_id=[9]),
        dict(),
    ],
)


def test_objects_are_counted_by_class():
    counts = count_objects(COUNTS, 'a.json')
    assert (counts.images, counts.with_objects) == (4, 2)
    assert list(counts.objects.items()) == [('cat', 2), ('dog', 1), ('eel', 0)]
    assert str(counts) == '4 images, 3 objects: cat 2, dog 1, eel 0 (a.json)'
    assert list(count_objects(COUNTS, 'a.json', ['eel', 'cat']).objects.items()) == [('eel', 0), ('cat', 2), ('dog', 1)]


def test_generated_objects_are_counted_as_those_of_their_file():
    options = dict(seed=3, max_objects=4)
    expected = count_objects(to_coco(12, size=(64, 64), **options), 'ShapesDataset')
    assert 0 < expected.with_objects < expected.images
    assert count_items(ShapesDataset(12, image_size=(64, 64), **options)) == expected


def test_what_does_not_fit_the_model_is_said():
    boxes = [(0, 0, 10, 10)] * 3 + [(0, 0, 100, 400)] * 40
    content = dict(
        images=[dict(id=1, width=640, height=480), dict(id=2)],
        categories=[dict(id=1, name='cell')],
        annotations=[dict(image_id=1, category_id=1, bbox=list(box)) for box in boxes]
        + [dict(image_id=2, category_id=1, bbox=[0, 0, 1, 1])],
    )
    counts = count_objects(content, 't.json')
    assert counts.most == 43
    assert len(counts.sides) == 43
    assert fit_warnings(counts, 100, 8, 640) == []
    assert fit_warnings(counts, None, 8, None) == []
    crowded, small = fit_warnings(counts, 25, 8, 320)  # ten pixels become five
    assert crowded.startswith('t.json: an image has 43 objects and the model 25 queries')
    assert small.startswith('t.json: 3 of 43 objects (7%) are smaller than a cell of the finest map, 8 pixels')


def test_anchors_that_do_not_fit_the_objects_are_said():
    counts = Counts('t.json', 2, 2, dict(cell=43), sides=[10 / 640] * 3 + [200 / 640] * 40)
    (small,) = fit_warnings(counts, None, 8, 640, 32, 4)
    assert small == (
        't.json: 3 of 43 objects (7%) are too small for the smallest anchor, 32 pixels, once images are 640 pixels '
        'long; model.bbox_head.anchor_generator.octave_base_scale=2 has anchors for them'
    )
    assert fit_warnings(counts, None, 8, 640, 15.7, 2) == []  # the IoU of 10 and 15.7 pixels is 0.4
    assert len(fit_warnings(counts, None, 8, 640, 15.9, 2)) == 1
    (large,) = fit_warnings(dataclasses.replace(counts, sides=counts.sides[3:]), None, 8, 640, 16, 2)
    assert large.startswith('t.json: hardly an object needs anchors as small as 16 pixels, once images are 640 pixels')
    assert 'with model.bbox_head.anchor_generator.octave_base_scale=4 ' in large
    assert fit_warnings(dataclasses.replace(counts, sides=counts.sides[3:]), None, 8, 640, 32, 4) == []
    middle = dataclasses.replace(counts, sides=[40 / 640] * 40)  # anchors of 32 pixels find them, those of 64 do not
    assert len(fit_warnings(middle, None, 8, 640, 16, 2)) == 1
    assert fit_warnings(dataclasses.replace(counts, sides=[20 / 640] * 40), None, 8, 640, 16, 2) == []
    assert fit_warnings(dataclasses.replace(counts, sides=[]), None, 8, 640, 16, 2) == []


@pytest.mark.parametrize(
    ('train_objects', 'val_objects', 'with_objects', 'says'),
    [
        (dict(cat=5, dog=3), dict(cat=1, dog=1), 10, []),
        (dict(cat=5, dog=3), None, 10, []),
        (dict(cat=5, dog=3), dict(cat=1, dog=1), 4, ['t.json: 6 of 10 images (60%) have no objects']),
        (dict(cat=5, dog=3), dict(cat=0, dog=0), 10, ['v.json: no image has an object']),
        (
            dict(cat=5, dog=3),
            dict(cat=1, dog=0),
            10,
            ['v.json: no object of dog, which training has; AP is averaged over 1 of 2 classes'],
        ),
        (
            dict(cat=5, dog=0),
            dict(cat=1, dog=2),
            10,
            ['t.json: no object of dog, which validation has; it counts as missed'],
        ),
        (dict(cat=5, dog=3), dict(cat=1, dog=1, eel=4), 10, ['v.json: eel is no class of the training']),
    ],
)
def test_what_training_and_validation_lack_is_said(train_objects, val_objects, with_objects, says):
    train_counts = Counts('t.json', 10, with_objects, train_objects)
    val_counts = val_objects and Counts('v.json', 10, 10, val_objects)
    warnings = compare_counts(train_counts, val_counts, ['cat', 'dog'])
    assert len(warnings) == len(says)
    for warning, start in zip(warnings, says, strict=True):
        assert warning.startswith(start)
