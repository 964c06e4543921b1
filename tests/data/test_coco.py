import json

import pytest

from mfdet.data.coco import MfdetCocoDataset, read_categories
from mfdet.errors import InputError


def write(path, categories, category_id=1):
    annotation = dict(id=1, image_id=1, category_id=category_id, bbox=[1, 2, 8, 9], area=72, iscrowd=0)
    image = dict(id=1, file_name='a.jpg', width=20, height=20)
    content = dict(images=[image], annotations=[annotation], categories=categories)
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize('reverse', [False, True])
def test_labels_follow_names_whatever_the_order_in_the_file(tmp_path, reverse):
    categories = [dict(id=1, name='cat'), dict(id=7, name='dog')]
    path = write(tmp_path / 'a.json', categories[::-1] if reverse else categories, category_id=7)
    for classes in (('cat', 'dog'), ('dog', 'cat')):
        dataset = MfdetCocoDataset(
            ann_file=path, metainfo=dict(classes=classes), data_prefix=dict(img='x'), pipeline=[], test_mode=True
        )
        assert dataset.get_data_info(0)['instances'][0]['bbox_label'] == classes.index('dog')


def test_a_class_that_the_file_lacks_is_named(tmp_path):
    path = write(tmp_path / 'a.json', [dict(id=1, name='cat')])
    with pytest.raises(InputError, match=r"a\.json: category 'bird' is missing"):
        MfdetCocoDataset(ann_file=path, metainfo=dict(classes=('cat', 'bird')), data_prefix=dict(img='x'), pipeline=[])


def test_read_categories_by_rising_id(tmp_path):
    path = write(tmp_path / 'a.json', [dict(id=7, name='dog'), dict(id=1, name='cat')])
    assert read_categories(path) == [(1, 'cat'), (7, 'dog')]


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        ('{', 'not a JSON file'),
        ('[]', 'no COCO annotation file'),
        ('{"categories": 3}', 'no COCO annotation file'),
        ('{"categories": [{"id": 1}]}', 'no COCO annotation file'),
        ('{"categories": [{"id": Infinity, "name": "a"}]}', 'no COCO annotation file'),
        ('{"categories": [{"id": 1, "name": "\\ud800"}]}', 'name of its own, a text'),
        ('{"categories": []}', 'at least one category'),
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}', 'name of its own'),
    ],
)
def test_what_is_no_coco_file_is_said(tmp_path, content, says):
    path = tmp_path / 'bad.json'
    path.write_text(content)
    with pytest.raises(InputError, match=rf'bad\.json.*{says}'):
        read_categories(str(path))


def test_missing_file():
    with pytest.raises(InputError, match=r'nowhere\.json: cannot be read: No such file'):
        read_categories('nowhere.json')


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (lambda content: content.pop('images'), r'"images" must be a list of objects'),
        (lambda content: content['images'][0].pop('height'), r'image 1: height is None'),
        (lambda content: content['annotations'][0].update(bbox=[1, 2]), r'bbox is \[1, 2\]'),
        (lambda content: content['annotations'][0].update(bbox=None), r'bbox is None'),
    ],
)
def test_a_broken_file_is_named_when_it_is_loaded(tmp_path, change, says):
    content = dict(
        images=[dict(id=1, file_name='a.png', width=40, height=30)],
        categories=[dict(id=1, name='thing')],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 9, 9], area=81, iscrowd=0)],
    )
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    options = dict(ann_file=str(path), data_prefix=dict(img=''), metainfo=dict(classes=('thing',)), pipeline=[])
    assert len(MfdetCocoDataset(**options)) == 1
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf'a\.json.*{says}'):
        MfdetCocoDataset(**options)


def test_a_file_whose_images_are_all_left_out_is_named(tmp_path):
    path = write(tmp_path / 'a.json', [dict(id=1, name='cat')])
    options = dict(ann_file=path, data_prefix=dict(img=''), metainfo=dict(classes=('cat',)), pipeline=[])
    with pytest.raises(InputError, match=r'a\.json: no image is left to train on: none of 1 has an object'):
        MfdetCocoDataset(**options, filter_cfg=dict(filter_empty_gt=True, min_size=32))
