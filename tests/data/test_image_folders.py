import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mfdet.data.image_folders import ImageFolders
from mfdet.data.sampling import SeededIndex
from mfdet.errors import InputError


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def dataset(root, **options):
    return ImageFolders(data_root=str(root), data_prefix=dict(img='train'), **options)


def listing(data):
    infos = [data.get_data_info(i) for i in range(len(data))]
    return [(info['img_path'].partition('/train/')[2], info['gt_label']) for info in infos]


def test_classes_are_the_sorted_folders(tmp_path):
    make(tmp_path, 'train/b/2.JPEG', 'train/b/1.png', 'train/a/deep/3.jpg', 'train/a/box.txt', 'train/.c/4.jpg')
    make(tmp_path, 'train/notes.txt', 'train/a/.hidden.jpg')
    data = dataset(tmp_path)
    assert data.metainfo['classes'] == ('a', 'b')
    assert listing(data) == [('a/deep/3.jpg', 0), ('b/1.png', 1), ('b/2.JPEG', 1)]
    assert data.counts == dict(a=1, b=2)


def test_labels_follow_the_classes_of_the_model(tmp_path):
    make(tmp_path, 'train/b/1.png', 'train/a/1.png')
    data = dataset(tmp_path, metainfo=dict(classes=('c', 'b', 'a')))
    assert listing(data) == [('a/1.png', 2), ('b/1.png', 1)]
    assert list(data.counts.items()) == [('c', 0), ('b', 1), ('a', 1)]


def test_items_are_drawn_with_the_seed_of_their_index(tmp_path):
    make(tmp_path, 'train/a/1.png', 'train/b/1.png')
    data = dataset(tmp_path, pipeline=[lambda info: np.random.random()])
    assert data[SeededIndex(0, 5)] == data[SeededIndex(1, 5)] != data[SeededIndex(0, 6)]


@pytest.mark.parametrize(
    ('names', 'says'),
    [
        ([], r'train: no such folder of class folders; --data-root'),
        (['train/1.jpg', 'train/2.jpg'], 'train: holds 2 images that are in no class folder; it must hold a folder'),
        (['train/list.txt'], 'train: holds no folders; it must hold a folder for each class'),
        (['train/a/1.png', 'train/d/1.png'], r'train: d is no class of the training, which has 2 \(a, b\)'),
        (['train/a/1.png', 'train/b/1.gif'], r'train/b: holds no image \(\.bmp, .*remove the folder'),
    ],
)
def test_what_is_wrong_is_named(tmp_path, names, says):
    make(tmp_path, *names)
    with pytest.raises(InputError, match=says):
        dataset(tmp_path, metainfo=dict(classes=('a', 'b')))
