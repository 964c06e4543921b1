import struct
import sys
import zlib

import cv2
import numpy as np
import pytest

from mfdet.errors import InputError
from mfdet.runtime import read_image
from mfdet.runtime.images import from_pil, is_pil, to_bgr

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (7, 9, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (7, 9, 3), np.uint16)
SMOOTH = np.dstack([np.tile(np.arange(0, 240, 5, dtype=np.uint8), (32, 1)) + offset for offset in (0, 8, 15)])


def write(path, image, *options):
    path.write_bytes(cv2.imencode(path.suffix, image, options)[1].tobytes())
    return path


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tiff', '.webp', '.jpg'])
def test_formats(tmp_path, suffix):
    options = {'.webp': (cv2.IMWRITE_WEBP_QUALITY, 101), '.jpg': (cv2.IMWRITE_JPEG_QUALITY, 100)}  # 101: lossless
    image = read_image(write(tmp_path / f'image{suffix}', SMOOTH, *options.get(suffix, ())))
    assert image.dtype == np.uint8
    assert image.shape == SMOOTH.shape
    assert np.abs(image.astype(int) - SMOOTH).max() <= (3 if suffix == '.jpg' else 0)


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tiff'])
def test_grey_is_expanded(tmp_path, suffix):
    image = read_image(write(tmp_path / f'image{suffix}', COLOR[:, :, 0]))
    np.testing.assert_array_equal(image, COLOR[:, :, [0, 0, 0]])


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.webp'])
def test_alpha_is_dropped(tmp_path, suffix):
    bgra = np.dstack([COLOR, RNG.integers(1, 256, (7, 9), np.uint8)])
    options = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == '.webp' else ()
    np.testing.assert_array_equal(read_image(write(tmp_path / f'image{suffix}', bgra, *options)), COLOR)


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
@pytest.mark.parametrize('image', [DEEP, DEEP[:, :, 0]], ids=['color', 'grey'])
def test_sixteen_bits_are_scaled(tmp_path, suffix, image):
    path = write(tmp_path / f'image{suffix}', image)
    scaled = np.atleast_3d(image) / 257
    read = read_image(path)
    assert read.shape == (7, 9, 3)
    assert np.abs(read - scaled).max() <= 1
    np.testing.assert_array_equal(read, cv2.imread(str(path), cv2.IMREAD_COLOR))  # what training reads


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(height, width, depth, color, *chunks):
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + header + b''.join(chunks) + chunk(b'IEND', b'')


def test_palette_is_expanded(tmp_path):
    path = tmp_path / 'palette.png'
    rows = zlib.compress(bytes([0, 1, 0, 0, 0, 1]))  # two rows of two pixels, each row after its filter type
    path.write_bytes(png(2, 2, 8, 3, chunk(b'PLTE', bytes([10, 20, 30, 200, 100, 50])), chunk(b'IDAT', rows)))
    np.testing.assert_array_equal(read_image(path), [[[50, 100, 200], [30, 20, 10]], [[30, 20, 10], [50, 100, 200]]])


def test_cmyk_jpeg(tmp_path):
    pillow = pytest.importorskip('PIL.Image')
    path = tmp_path / 'cmyk.jpg'
    pillow.fromarray(SMOOTH[:, :, ::-1].copy()).convert('CMYK').save(path, quality=100)
    assert np.abs(read_image(path).astype(int) - SMOOTH).max() <= 4


@pytest.mark.parametrize(
    ('orientation', 'upright'),
    [
        (1, lambda image: image),
        (2, lambda image: image[:, ::-1]),
        (3, lambda image: np.rot90(image, 2)),
        (6, lambda image: np.rot90(image, -1)),  # clockwise
        (8, np.rot90),
    ],
)
def test_exif_orientation_is_applied(tmp_path, orientation, upright):
    plain = write(tmp_path / 'plain.jpg', SMOOTH)
    data = plain.read_bytes()
    # One TIFF directory with the single entry 0x112, orientation, a short.
    exif = b'Exif\0\0MM\0*' + struct.pack('>IHHHIHHI', 8, 1, 0x112, 3, 1, orientation, 0, 0)
    turned = tmp_path / 'turned.jpg'
    turned.write_bytes(data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:])
    np.testing.assert_array_equal(read_image(turned), upright(read_image(plain)))


def test_non_ascii_names(tmp_path):
    path = write(tmp_path / 'Ställe 画像.png', COLOR)
    np.testing.assert_array_equal(read_image(path), COLOR)
    np.testing.assert_array_equal(read_image(str(path)), COLOR)


def fails(path, message):
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(f'{path}: ')


def test_missing_and_empty_files(tmp_path):
    fails(tmp_path / 'none.png', 'no such image file')
    fails(tmp_path, 'no such image file')
    empty = tmp_path / 'empty.jpg'
    empty.touch()
    fails(empty, 'is an empty file')


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tiff', '.webp', '.jpg'])
def test_cut_short_files(tmp_path, suffix):
    path = write(tmp_path / f'image{suffix}', SMOOTH)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    fails(path, r'is damaged or not an image that OpenCV can read; JPEG, PNG, BMP, TIFF and WebP are')


def test_other_files(tmp_path):
    text = tmp_path / 'notes.png'
    text.write_text('no image')
    fails(text, 'not an image that OpenCV can read')
    huge = tmp_path / 'huge.png'
    huge.write_bytes(png(10**6, 10**6, 8, 0, chunk(b'IDAT', zlib.compress(b'\0'))))
    fails(huge, 'not an image that OpenCV can read')


@pytest.mark.parametrize('image', [COLOR / np.float32(255), (DEEP // 2).astype(np.int16)], ids=['float', 'signed'])
def test_other_pixel_types(tmp_path, image):
    fails(write(tmp_path / 'image.tiff', image), f'has {image.dtype} pixels, must have 8 or 16 bits')


def test_arrays():
    assert to_bgr(COLOR) is COLOR
    grey = COLOR[:, :, 0]
    np.testing.assert_array_equal(to_bgr(grey), COLOR[:, :, [0, 0, 0]])
    np.testing.assert_array_equal(to_bgr(grey[:, :, None]), COLOR[:, :, [0, 0, 0]])
    np.testing.assert_array_equal(to_bgr(np.dstack([COLOR, grey])), COLOR)


def test_sixteen_bit_arrays_equal_files(tmp_path):
    np.testing.assert_array_equal(to_bgr(DEEP), read_image(write(tmp_path / 'image.png', DEEP)))
    assert to_bgr(np.full((2, 2), 65535, np.uint16)).tolist() == [[[255] * 3] * 2] * 2


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        ([[0]], 'frame: must be a NumPy array, not list'),
        (COLOR / 255, r'frame: has dtype float64, must be uint8 \(0 to 255\) or uint16'),
        (COLOR.astype(np.int32), 'frame: has dtype int32'),
        (COLOR[None], r'frame: has shape \(1, 7, 9, 3\), must be one image: \(H, W, 3\) BGR'),
        (COLOR[0, 0], r'frame: has shape \(3,\)'),
        (COLOR[:, :, :2], r'frame: has shape \(7, 9, 2\)'),
        (COLOR[:0], r'frame: has shape \(0, 9, 3\)'),
        (COLOR.transpose(2, 0, 1), r'frame: has shape \(3, 7, 9\)'),
    ],
)
def test_wrong_arrays(array, message):
    with pytest.raises(InputError, match=message):
        to_bgr(array, 'frame')


def pictures_of_pillow():
    from PIL import Image

    color = Image.fromarray(COLOR[:, :, ::-1])
    turned = Image.Exif()
    turned[0x0112] = 6
    alpha = color.copy()
    alpha.putalpha(Image.fromarray(COLOR[:, :, 0]))
    return dict(
        color=(color, {}),
        grey=(color.convert('L'), {}),
        two=(color.convert('1'), {}),
        palette=(color.quantize(16), {}),
        alpha=(alpha, {}),
        grey_alpha=(alpha.convert('LA'), {}),
        deep=(Image.fromarray(DEEP[:, :, 0]), {}),
        turned=(color, dict(exif=turned)),
    )


@pytest.mark.parametrize('kind', pictures_of_pillow())
def test_images_of_pillow_are_what_their_files_are(tmp_path, kind):
    from PIL import Image

    image, options = pictures_of_pillow()[kind]
    path = tmp_path / 'image.png'
    image.save(path, **options)
    expected = read_image(path)
    with Image.open(path) as opened:
        actual = from_pil(opened)
        assert opened.size == (9, 7)
    assert actual.shape == ((9, 7, 3) if kind == 'turned' else (7, 9, 3))
    assert actual.dtype == np.uint8
    np.testing.assert_array_equal(actual, expected)


def test_images_of_pillow_that_cannot_be_used_are_named(tmp_path):
    from PIL import Image

    for mode in ('I', 'F'):
        with pytest.raises(InputError, match=f'image 3: has mode {mode}, 32 bits a pixel, must have 8 or 16 bits'):
            from_pil(Image.new(mode, (5, 4)), 'image 3')
    with pytest.raises(InputError, match=r'image: has shape \(0, 0, 3\)'):
        from_pil(Image.new('RGB', (0, 0)))
    path = write(tmp_path / 'cut.jpg', SMOOTH)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    with Image.open(path) as opened, pytest.raises(InputError, match=r'image: is damaged, or Pillow cannot'):
        from_pil(opened)


def test_pillow_is_not_imported_to_see_that_an_image_is_not_of_it(monkeypatch):
    monkeypatch.delitem(sys.modules, 'PIL.Image', raising=False)
    assert not is_pil(COLOR)
    assert 'PIL.Image' not in sys.modules
