import cv2
import numpy as np
import pytest
from mmengine.registry import TRANSFORMS, init_default_scope
from PIL import Image

import mfdet.register  # noqa: F401
from mfdet.data.classification import (
    LoadReducedImage,
    MfdetRandomErasing,
    PackClassification,
    RandomResizedCrop,
    reduction_for,
)
from mfdet.engine.config import load_config
from mfdet.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)


def save_smooth(path, width, height, orientation=1):
    image = Image.fromarray(cv2.resize(IMAGE[:4, :4], (width, height), interpolation=cv2.INTER_CUBIC))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, quality=95)
    return str(path)


@pytest.mark.parametrize(
    ('width', 'height', 'least', 'reduction'),
    [(400, 300, 301, 1), (400, 300, 151, 1), (400, 300, 150, 2), (300, 401, 75, 4), (400, 300, 10, 8)],
)
def test_a_reduced_image_is_still_large_enough(tmp_path, width, height, least, reduction):
    path = save_smooth(tmp_path / 'a.jpg', width, height)
    assert reduction_for(path, least) == reduction
    results = LoadReducedImage(least)(dict(img_path=path))
    assert results['img_shape'] == results['ori_shape'] == results['img'].shape[:2]
    assert results['img_shape'] == (-(-height // reduction), -(-width // reduction))
    assert min(results['img_shape']) >= min(least, width, height)
    whole = cv2.resize(cv2.imread(path), results['img_shape'][::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(whole.astype(int) - results['img']).mean() < 3


def test_a_turned_image_is_turned_upright_at_a_reduced_size_too(tmp_path):
    path = save_smooth(tmp_path / 'turned.jpg', 400, 300, orientation=6)
    for least, shape in ((300, (400, 300)), (150, (200, 150))):
        image = LoadReducedImage(least)(dict(img_path=path))['img']
        assert image.shape[:2] == shape
        whole = cv2.resize(cv2.imread(path), shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(whole.astype(int) - image).mean() < 3


def test_other_files_are_not_reduced(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    np.testing.assert_array_equal(LoadReducedImage(5)(dict(img_path=str(tmp_path / 'a.png')))['img'], IMAGE)


@pytest.mark.parametrize(('content', 'says'), [(b'', 'is an empty file'), (b'no', 'is damaged'), (None, 'no such')])
def test_what_is_no_image_is_named(tmp_path, content, says):
    if content is not None:
        (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(InputError, match=rf'a\.jpg: {says}'):
        LoadReducedImage(8)(dict(img_path=str(tmp_path / 'a.jpg')))


def test_a_cut_file_of_reducible_size_is_named(tmp_path):
    path = save_smooth(tmp_path / 'a.jpg', 400, 300)
    data = (tmp_path / 'a.jpg').read_bytes()
    header = data.index(b'\xff\xda')
    (tmp_path / 'a.jpg').write_bytes(data[:header])
    with pytest.raises(InputError, match=r'a\.jpg: is damaged'):
        LoadReducedImage(10)(dict(img_path=path))


def test_random_resized_crop_draws_areas_and_ratios_of_its_ranges():
    np.random.seed(0)
    transform = RandomResizedCrop(8, scale=(0.1, 0.5))
    drawn = np.array([transform.draw(200, 300) for _ in range(2000)])
    top, left, height, width = drawn.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 200).all()
    assert (left + width <= 300).all()
    share, ratio = height * width / 60_000, width / height
    assert 0.098 < share.min() < 0.12
    assert 0.47 < share.max() < 0.51
    assert share.mean() == pytest.approx(0.3, abs=0.01)  # even
    assert 0.73 < ratio.min() < 0.78
    assert 1.3 < ratio.max() < 1.36
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.02)  # even on a logarithmic scale


def test_random_resized_crop_of_a_narrow_image_is_its_middle():
    assert RandomResizedCrop(8, scale=(1, 1)).draw(10, 100) == (0, 43, 10, 13)
    assert RandomResizedCrop(8, scale=(1, 1)).draw(100, 10) == (43, 0, 13, 10)


def test_random_resized_crop_resizes_what_it_drew(monkeypatch):
    transform = RandomResizedCrop(20)
    monkeypatch.setattr(transform, 'draw', lambda height, width: (5, 7, 40, 40))
    results = transform(dict(img=IMAGE))
    expected = Image.fromarray(IMAGE[5:45, 7:47]).resize((20, 20), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(results['img'], np.asarray(expected))
    assert results['img_shape'] == (20, 20)


def test_erased_rectangles_are_of_their_ranges():
    np.random.seed(0)
    transform = MfdetRandomErasing()
    top, left, height, width = np.array([transform.draw(300, 200) for _ in range(1000)]).T
    assert (top + height <= 300).all()
    assert (left + width <= 200).all()
    share, ratio = height * width / 60_000, height / width
    assert 0.019 < share.min() < 0.03
    assert 0.3 < share.max() < 0.41
    assert 0.28 < ratio.min() < 0.5
    assert 2.8 < ratio.max() < 3.5


def test_erasing_changes_one_rectangle_of_a_copy_with_its_probability(monkeypatch):
    np.random.seed(0)
    transform = MfdetRandomErasing(probability=0.2)
    monkeypatch.setattr(transform, 'draw', lambda height, width: (10, 20, 30, 40))
    changed = 0
    for _ in range(500):
        image = np.zeros((60, 100, 3), np.uint8)
        erased = transform(dict(img=image))['img']
        assert not image.any()
        inside = erased[10:40, 20:60]
        changed += inside.any()
        if inside.any():
            assert inside.mean() == pytest.approx(127.5, abs=8)
            erased[10:40, 20:60] = 0
        assert not erased.any()
    assert 70 < changed < 130


def test_packing_keeps_pixels_label_and_name():
    packed = PackClassification()(dict(img=IMAGE, gt_label=7, img_path='a.png'))
    assert packed['inputs'].shape == (3, 60, 100)
    np.testing.assert_array_equal(packed['inputs'].permute(1, 2, 0), IMAGE)
    assert packed['data_samples'].gt_label == 7
    assert packed['data_samples'].metainfo == dict(img_path='a.png')


@pytest.mark.parametrize('shape', [(300, 500), (700, 300), (100, 180)])
def test_evaluation_takes_the_middle_224_of_a_shorter_side_of_256(tmp_path, shape):
    init_default_scope('mmdet')
    image = cv2.resize(IMAGE, shape[::-1], interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    results = dict(img_path=str(tmp_path / 'a.png'), gt_label=0)
    for step in load_config('imagenet/mobile_former_26m').test_dataloader.dataset.pipeline:
        results = TRANSFORMS.build(step)(results)
    height, width = (round(side * 256 / min(shape)) for side in shape)
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    np.testing.assert_array_equal(results['inputs'].permute(1, 2, 0), resized[top : top + 224, left : left + 224])


@pytest.mark.parametrize(
    ('build', 'says'),
    [
        (lambda: LoadReducedImage(0), 'least_side must be a whole number'),
        (lambda: RandomResizedCrop(0), 'size must be a whole number'),
        (lambda: RandomResizedCrop(8, scale=(0, 1)), 'scale must be'),
        (lambda: RandomResizedCrop(8, ratio=(2, 1)), 'ratio must be'),
        (lambda: MfdetRandomErasing(1.5), 'probability must be from 0 to 1'),
        (lambda: MfdetRandomErasing(area=(0.1, 2)), 'area must be'),
    ],
)
def test_wrong_arguments_are_named(build, says):
    with pytest.raises(InputError, match=says):
        build()
