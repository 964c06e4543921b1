import cv2
import numpy as np
import pytest
from scenes import box, read

from mfdet.errors import InputError
from mfdet.report.findings import analyse
from mfdet.report.pictures import MARK, draw_pictures

OBJECTS = [(1, 'cat', box(0)), (1, 'dog', [200, 150, 40, 40]), (2, 'cat', box(100)), (2, 'dog', box(0))]
DETECTIONS = [(1, 'cat', box(0), 0.9), (2, 'cat', box(100), 0.6), (2, 'dog', box(280), 0.8)]


def draw(tmp_path, read_image, most=30, detections=DETECTIONS):
    ground_truth, results = read(tmp_path, OBJECTS, detections)
    return draw_pictures(analyse(ground_truth, results), ground_truth, read_image, most)


def image(image_id):
    return np.full((300, 400, 3), 80 * image_id, np.uint8)


def decode(picture):
    return cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)


def test_worst_images_and_doubtful_annotations(tmp_path):
    worst, doubtful = draw(tmp_path, image)
    assert [(picture.name, picture.caption) for picture in worst] == [
        ('worst_01.jpg', '2.png: 1 false positives, 1 missed'),
        ('worst_02.jpg', '1.png: 0 false positives, 1 missed'),
    ]
    assert [picture.caption for picture in doubtful] == [
        '2.png: dog of score 0.80, largest IoU with an object 0.00: is a label missing?',
        '2.png: dog, largest IoU with any detection 0.00: is the box right?',
        '1.png: dog, largest IoU with any detection 0.00: is the box right?',
    ]
    first = decode(worst[0])
    assert first.shape == (2 * 300 + 24, 2 * 2 * 400 + 6, 3)  # enlarged, so that labels can be read
    assert np.abs(first[40:, :400].astype(int) - 160).max() > 50  # a box is drawn
    marked = np.abs(decode(doubtful[2]).astype(int) - MARK).max(-1) < 60
    assert marked.sum() > 100
    assert not (np.abs(first.astype(int) - MARK).max(-1) < 60).any()


def test_most_of_each_are_drawn_and_one_kind_gives_way_to_the_other(tmp_path):
    worst, doubtful = draw(tmp_path, image, most=1)
    assert (len(worst), len(doubtful)) == (1, 1)
    many = [*DETECTIONS, *((1, 'dog', box(300 - i), 0.95) for i in range(8))]
    captions = [picture.caption for picture in draw(tmp_path, image, most=4, detections=many)[1]]
    assert [('label' in caption) for caption in captions] == [True, True, False, False]


def test_an_image_that_cannot_be_read_is_said(tmp_path):
    def broken(image_id):
        raise InputError(f'{image_id}.png: no such image file')

    worst, _ = draw(tmp_path, broken)
    assert worst[0].data is None
    assert worst[0].caption == '2.png: 1 false positives, 1 missed. It cannot be shown: 2.png: no such image file'


@pytest.mark.parametrize('shape', [(1, 1), (2000, 3000), (3000, 20), (7, 900)])
def test_images_of_any_size_and_boxes_beyond_them(shape, tmp_path):
    wide = [*DETECTIONS, (1, 'cat', [-5e8, 0, 1e9, 1e9], 0.95), (2, 'dog', [1e6, 1e6, 5, 5], 0.97)]
    worst, doubtful = draw(tmp_path, lambda _: np.zeros((*shape, 3), np.uint8), detections=wide)
    for picture in worst + doubtful:
        assert max(decode(picture).shape) < 9000
