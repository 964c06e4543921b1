"""Odd images in training: the right pixels, or one sentence."""

import json

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import init_default_scope
from PIL import Image

import mfdet.register  # noqa: F401
from mfdet.data.coco import MfdetCocoDataset
from mfdet.data.transforms import LoadImage
from mfdet.errors import InputError

COLOR = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def save_turned(path):
    image = Image.fromarray(COLOR)
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter to the right
    image.save(path, exif=exif)


ODD = {
    'grey.png': lambda path: Image.fromarray(COLOR[:, :, 0]).save(path),
    'rgba.png': lambda path: Image.fromarray(np.dstack([COLOR, COLOR[:, :, :1]])).save(path),
    'palette.png': lambda path: Image.fromarray(COLOR).quantize(16).save(path),
    'cmyk.jpg': lambda path: Image.fromarray(COLOR).convert('CMYK').save(path),
    'sixteen.png': lambda path: Image.fromarray(COLOR[:, :, 0].astype(np.uint16) * 257).save(path),
    'turned.jpg': save_turned,
    'dot.png': lambda path: Image.fromarray(COLOR[:1, :1]).save(path),
    'wide.png': lambda path: Image.fromarray(np.tile(COLOR[:10], (1, 250, 1))).save(path),
}


def dataset(folder, name, width, height, pipeline):
    box = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, width, height], area=width * height, iscrowd=0)
    content = dict(
        images=[dict(id=1, file_name=name, width=width, height=height)],
        categories=[dict(id=1, name='thing')],
        annotations=[box],
    )
    (folder / 'a.json').write_text(json.dumps(content))
    options = dict(data_prefix=dict(img=''), metainfo=dict(classes=('thing',)), pipeline=pipeline)
    return MfdetCocoDataset(data_root=str(folder), ann_file='a.json', **options)


def pipeline(side):
    return [
        dict(type='LoadImage'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='Resize', scale=(side, side), keep_ratio=True),
        dict(type='PackDetInputs'),
    ]


@pytest.mark.parametrize('name', ODD)
def test_training_sees_what_mmcv_would_read(tmp_path, name):
    ODD[name](tmp_path / name)
    read = LoadImage()(dict(img_path=str(tmp_path / name)))
    expected = LoadImageFromFile()(dict(img_path=str(tmp_path / name)))
    np.testing.assert_array_equal(read['img'], expected['img'])
    assert read['img_shape'] == read['ori_shape'] == expected['img'].shape[:2]
    height, width = expected['img'].shape[:2]
    item = dataset(tmp_path, name, width, height, pipeline(10_000))[0]
    assert item['inputs'].shape[0] == 3
    assert item['data_samples'].ori_shape == (height, width)
    assert len(item['data_samples'].gt_instances) == 1


def test_an_image_too_long_for_its_new_size_is_named(tmp_path):
    ODD['wide.png'](tmp_path / 'wide.png')
    with pytest.raises(InputError, match=r'wide\.png: an image of 10000×10 pixels cannot go through .* leave it out'):
        dataset(tmp_path, 'wide.png', 10_000, 10, pipeline(320))[0]


@pytest.mark.parametrize(
    ('content', 'says'), [(b'', 'is an empty file'), (b'no image', 'is damaged or not an image'), (None, 'no such')]
)
def test_what_is_no_image_is_named(tmp_path, content, says):
    if content is not None:
        (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(InputError, match=rf'a\.png: {says}'):
        dataset(tmp_path, 'a.png', 40, 30, pipeline(64))[0]


def test_an_image_of_another_size_than_stated_is_named(tmp_path):
    save_turned(tmp_path / 'turned.jpg')
    with pytest.raises(InputError, match=r'turned\.jpg: is 30×40 upright, the annotation file says 40×30'):
        dataset(tmp_path, 'turned.jpg', 40, 30, pipeline(64))[0]
