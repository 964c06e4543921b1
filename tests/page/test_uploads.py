import struct
import zlib

import cv2
import pytest
from pictures import grey, video

from mfdet.errors import InputError
from mfdet.page import uploads
from mfdet.page.uploads import open_upload, read_upload


def test_an_image_is_read(tmp_path):
    assert read_upload(grey(str(tmp_path / 'a.jpg'))).shape == (40, 60, 3)


def bomb(path):
    """A PNG file of a few bytes that says it has 60000×60000 pixels."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', b'') + chunk(b'IEND', b''))


@pytest.mark.parametrize(
    ('make', 'says'),
    [
        (lambda path: path.write_text('hello'), 'photo.jpg: is damaged or not an image; JPEG, PNG, BMP, TIFF and WebP'),
        (lambda path: path.write_bytes(b''), 'photo.jpg: is damaged or not an image'),
        (lambda path: path.write_bytes(cv2.imencode('.ppm', cv2.imread(grey('x.png')))[1]), 'not an image'),
        (lambda path: path.write_bytes(cv2.imencode('.png', cv2.imread(grey('x.png')))[1][:50]), 'damaged'),
        (bomb, 'photo.jpg: has too many pixels, 40,000,000 are the most'),
    ],
    ids=['text', 'empty', 'other kind', 'cut', 'bomb'],
)
def test_what_is_no_image_is_one_sentence_without_folders(tmp_path, monkeypatch, make, says):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / 'photo.jpg')
    with pytest.raises(InputError) as error:
        read_upload(str(tmp_path / 'photo.jpg'))
    assert str(error.value).startswith('photo.jpg: ')
    assert says in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_limits(tmp_path, monkeypatch):
    image, clip = grey(str(tmp_path / 'a.png')), video(str(tmp_path / 'a.mp4'))
    monkeypatch.setattr(uploads, 'IMAGE_PIXELS', 2399)
    with pytest.raises(InputError, match=r'^a.png: has 60×40 pixels, 2,399 are the most$'):
        read_upload(image)
    monkeypatch.setattr(uploads, 'FRAME_PIXELS', 240 * 320 - 1)
    with pytest.raises(InputError, match=r'^a.mp4: has frames of 320×240 pixels, 76,799 are the most$'):
        open_upload(clip)
    with open(image, 'r+b') as file:
        file.truncate(20 * 2**20 + 2**19)
    with pytest.raises(InputError, match=r'^a.png: has 20.5 MB, an image may have 20$'):
        read_upload(image)
    with open(clip, 'r+b') as file:
        file.truncate(201 * 2**20)
    with pytest.raises(InputError, match=r'^a.mp4: has 201.0 MB, a video may have 200$'):
        open_upload(clip)


def test_a_text_is_no_video(tmp_path):
    (tmp_path / 'a.mp4').write_text('hello')
    with pytest.raises(InputError, match=r'^a.mp4: is damaged or not a video that OpenCV can read$'):
        open_upload(str(tmp_path / 'a.mp4'))
