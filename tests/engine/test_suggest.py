"""Settings suggested by what a data set holds."""

import json
import shutil

import cv2
import numpy as np
import pytest

from mfdet.data.counts import Counts
from mfdet.engine.suggest import find_split, look_at, suggest
from mfdet.errors import InputError

GB = 2**30


def counts(images=205, most=20, sides=(0.2,)):
    return Counts('train.json', images, images, dict(cell=10), most, list(sides))


@pytest.mark.parametrize(
    ('small', 'longest', 'device', 'size', 'base'),
    [
        (0.3, 640, 'CPU', 192, 'cpu/e2e_plus_mf26m'),
        (0.06, 640, 'CPU', 288, 'small/e2e_plus_mf151m'),
        (0.3, 640, 'GPU', 320, 'small/e2e_plus_mf151m'),
        (0.01, 4000, 'CPU', 640, 'small/retinanet_mf151m'),  # small even so
        (0.01, 4000, 'GPU', 1024, 'small/retinanet_mf151m'),
        (0.02, 400, 'CPU', 416, 'small/retinanet_mf151m'),  # no larger than the images are
    ],
)
def test_size_follows_small_objects(small, longest, device, size, base):
    found = suggest(counts(), small, longest, 16 * GB, device)
    assert (found.image_size, found.base) == (size, base)
    assert f'{small:.1%}' in found.reasons['image_size']


def test_crowds_beyond_the_queries_take_retinanet():
    found = suggest(counts(most=101), 0.3, 640, 16 * GB, 'CPU')
    assert found.base == 'cpu/retinanet_mf26m'
    assert 'an image has 101 objects' in found.reasons['base']


@pytest.mark.parametrize(('images', 'epochs'), [(205, 40), (140, 58), (10_000, 12), (8, 100)])
def test_epochs_make_about_as_many_steps(images, epochs):
    found = suggest(counts(images=images), 0.3, 640, 16 * GB, 'CPU')
    assert (found.epochs, found.batch_size) == (epochs, 4)
    assert 1 <= found.val_interval <= epochs


def test_batch_fits_into_memory():
    size = 640 * 640 * 2100
    assert suggest(counts(), 0.025, 640, 9 * size, 'CPU').batch_size == 4
    assert suggest(counts(), 0.025, 640, 7 * size, 'CPU').batch_size == 2
    assert suggest(counts(), 0.025, 640, size, 'CPU').batch_size == 1


def write(path, sides, classes=('a', 'b'), name='x.png'):
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = [
        dict(id=i, image_id=1, category_id=category, bbox=[0, 0, side, side], area=side**2, iscrowd=0)
        for i, (category, side) in enumerate(sides, 1)
    ]
    images = [dict(id=1, file_name=name, width=200, height=100)]
    categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))


def test_small_is_what_a_class_is_or_a_tenth_of_all(tmp_path):
    write(tmp_path / 'a.json', [(1, 100)] * 50 + [(2, 10), (2, 12), (2, 14)])
    found, small, longest = look_at(str(tmp_path / 'a.json'))
    assert (found.most, longest) == (53, 200)
    assert small == pytest.approx(12 / 200)  # half of b, though b is a twentieth of all
    write(tmp_path / 'a.json', [(1, 100)] * 8 + [(1, 20)] * 2)
    assert look_at(str(tmp_path / 'a.json'))[1] == pytest.approx(np.quantile([0.5] * 8 + [0.1] * 2, 0.1))
    write(tmp_path / 'a.json', [])
    with pytest.raises(InputError, match=r'a\.json: has no object that is no crowd'):
        look_at(str(tmp_path / 'a.json'))


def test_splits_are_found_by_name_and_images_by_being_there(tmp_path):
    write(tmp_path / 'annotations' / 'instances_train.json', [(1, 10)])
    write(tmp_path / 'annotations' / 'instances_val.json', [(1, 10)])
    with pytest.raises(InputError, match=r'its images \(x\.png\) are in no folder of'):
        find_split(tmp_path, 'train')
    (tmp_path / 'data' / 'images').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'data' / 'images' / 'x.png'), np.zeros((100, 200, 3), np.uint8))
    for split in ('train', 'val'):
        assert find_split(tmp_path, split) == (f'annotations/instances_{split}.json', 'data/images')
    shutil.copy(tmp_path / 'annotations' / 'instances_train.json', tmp_path / 'train_old.json')
    with pytest.raises(InputError, match='no annotation file for train is found, several may be it'):
        find_split(tmp_path, 'train')
    with pytest.raises(InputError, match='there is none; name it with --val-ann and --val-images, or make one of'):
        find_split(tmp_path / 'data', 'val')
