import numpy as np
import pytest

from mfdet.errors import InputError
from mfdet.runtime.preprocessing import check_preprocessing, collate, prepare, resized_shape

METADATA = dict(
    normalized=True,
    channel_order='rgb',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    pad_divisor=32,
    resize=dict(scale=[133, 80], keep_ratio=True),
)
# Height and width: odd, kept, enlarged, reduced, one pixel wide.
SIZES = [(37, 53), (80, 133), (133, 80), (20, 20), (481, 640), (333, 500), (50, 1), (1, 130), (1, 1)]


def image_of(height, width):
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def mmdet_batch(images, metadata):
    """Return mmdet's batch, sizes and scale factors."""
    pytest.importorskip('mmdet')
    from mmdet.datasets.transforms import PackDetInputs, Resize
    from mmdet.datasets.transforms.loading import LoadImageFromNDArray
    from mmdet.models.data_preprocessors import DetDataPreprocessor
    from mmengine.dataset import Compose, pseudo_collate

    keys = ('img_shape', 'scale_factor')
    resize = metadata['resize']
    steps = [LoadImageFromNDArray(), PackDetInputs(meta_keys=keys)]
    if resize:
        steps.insert(1, Resize(scale=tuple(resize['scale']), keep_ratio=True))
    data = pseudo_collate([Compose(steps)(dict(img=image, img_id=0)) for image in images])
    normalize = dict(mean=metadata['mean'], std=metadata['std'], bgr_to_rgb=metadata['channel_order'] == 'rgb')
    preprocessor = DetDataPreprocessor(
        pad_size_divisor=metadata['pad_divisor'], **(normalize if metadata['normalized'] else {})
    )
    data = preprocessor(data)
    sizes = [sample.img_shape for sample in data['data_samples']]
    factors = [sample.metainfo.get('scale_factor', (1, 1)) for sample in data['data_samples']]
    return data['inputs'].numpy(), sizes, factors


def assert_equal_mmdet(images, metadata):
    batch, sizes, factors = collate(images, metadata)
    expected_batch, expected_sizes, expected_factors = mmdet_batch(images, metadata)
    assert batch.dtype == np.float32
    assert sizes.dtype == np.int64
    np.testing.assert_array_equal(batch, expected_batch)
    np.testing.assert_array_equal(sizes, expected_sizes)
    np.testing.assert_array_equal(factors, expected_factors)


@pytest.mark.parametrize('size', SIZES)
def test_one_image_equals_mmdet(size):
    assert_equal_mmdet([image_of(*size)], METADATA)


@pytest.mark.parametrize(
    'changes',
    [
        {},
        dict(channel_order='bgr'),
        dict(mean=[103, 116, 123], std=[1, 1, 1], channel_order='bgr'),
        dict(resize=None),
        dict(pad_divisor=1),
        dict(normalized=False),
        dict(resize=dict(scale=[64, 64], keep_ratio=True)),
        dict(resize=dict(scale=[800, 1333], keep_ratio=True)),
    ],
    ids=str,
)
def test_batch_equals_mmdet(changes):
    images = [image_of(*size) for size in (SIZES[0], SIZES[2], SIZES[3])]
    assert_equal_mmdet(images, {**METADATA, **changes})


def test_sliced_and_flipped_images_equal_mmdet():
    image = image_of(60, 90)
    assert_equal_mmdet([image[::2, ::-1], image[:, :, ::-1]], METADATA)


def test_prepare():
    array, factor = prepare(image_of(20, 40), METADATA)
    assert (array.dtype, array.shape, factor) == (np.float32, (3, 67, 133), (3.325, 3.35))


def test_padding_is_zero_after_normalisation():
    batch, sizes, _ = collate([image_of(40, 60), image_of(60, 40)], {**METADATA, 'resize': None})
    assert batch.shape == (2, 3, 64, 64)
    assert sizes.tolist() == [[40, 60], [60, 40]]
    assert not batch[0, :, 40:].any()
    assert not batch[0, :, :, 60:].any()
    assert batch[0, :, :40, :60].all()


def test_raw_pixels_where_the_model_normalises():
    image = image_of(32, 64)
    raw = {'normalized': False, 'pad_divisor': 32, 'resize': None}
    check_preprocessing(raw)
    batch, _, factors = collate([image], raw)
    np.testing.assert_array_equal(batch[0], image.transpose(2, 0, 1))
    assert factors.tolist() == [[1, 1]]


def test_resized_shape():
    resize = dict(scale=[1333, 800], keep_ratio=True)
    assert resized_shape(480, 640, resize) == (800, 1067)
    assert resized_shape(640, 480, resize) == (1067, 800)
    assert resized_shape(480, 640, None) == (480, 640)
    assert resized_shape(5000, 1, dict(scale=[100, 100], keep_ratio=True)) == (100, 1)  # not 0 pixels wide


@pytest.mark.parametrize(
    ('resize', 'message'),
    [
        (dict(scale=[64, 64], keep_ratio=False), "'resize' must keep the ratio"),
        (dict(scale=[64, 64]), "'resize' must keep the ratio"),
        ([64, 64], "'resize' must keep the ratio"),
        (dict(keep_ratio=True), "'scale' of 'resize' must be two whole numbers"),
        (dict(scale=[64, 0], keep_ratio=True), "'scale' of 'resize' must be two whole numbers"),
        (dict(scale=[64], keep_ratio=True), "'scale' of 'resize' must be two whole numbers"),
    ],
)
def test_other_resizing_is_refused(resize, message):
    with pytest.raises(InputError, match=message):
        resized_shape(10, 10, resize)
    with pytest.raises(InputError, match=message):
        check_preprocessing({**METADATA, 'resize': resize})


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('pad_divisor', 0, "'pad_divisor' must be a whole number from 1 to 8192, not 0"),
        ('pad_divisor', 10**9, "'pad_divisor' must be a whole number from 1 to 8192, not 1000000000"),
        ('pad_divisor', True, "'pad_divisor' must be"),
        ('fixed_size', [32, 10**9], "'fixed_size' must be a height and a width, whole numbers from 1 to 8192"),
        ('resize', dict(scale=[10**6, 10**6], keep_ratio=True), 'would make 1000000×1000000 pixels of an image of 1×1'),
        ('resize', dict(scale=[10**400, 800], keep_ratio=True), "'scale' of 'resize' must be two whole numbers"),
        ('pad_divisor', 1.5, "'pad_divisor' must be"),
        ('normalized', 1, "'normalized' must be true or false"),
        ('channel_order', 'grb', "'channel_order' must be 'rgb' or 'bgr'"),
        ('mean', [1, 2], "'mean' must be a list of three finite numbers"),
        ('mean', [0, float('nan'), 0], "'mean' must be a list of three finite numbers"),
        ('mean', [0, 0, 10**400], "'mean' must be a list of three finite numbers"),
        ('mean', [0, 0, 1e39], "'mean' must be a list of three finite numbers"),  # infinite in float32
        ('std', None, "'std' must be a list of three finite numbers"),
        ('std', [1, float('inf'), 1], "'std' must be a list of three finite numbers"),
        ('std', [1, 0, 1], "'std' must be above 0"),
        ('std', [1, 1e-50, 1], "'std' must be above 0"),  # 0 in float32
    ],
)
def test_wrong_metadata(field, value, message):
    check_preprocessing(METADATA)
    with pytest.raises(InputError, match=message):
        check_preprocessing({**METADATA, field: value})


def test_an_image_that_would_grow_too_large_is_refused():
    resize = dict(scale=[100_000, 800], keep_ratio=True)  # the short side alone counts
    check_preprocessing({**METADATA, 'resize': resize})
    assert resized_shape(480, 640, resize) == (800, 1067)
    with pytest.raises(InputError, match='would make 800×100000 pixels of an image of 4×500; 8192×8192 are the most'):
        resized_shape(4, 500, resize)


@pytest.mark.parametrize('field', METADATA)
def test_missing_metadata(field):
    metadata = {name: value for name, value in METADATA.items() if name != field}
    with pytest.raises(InputError, match=f"'{field}'"):
        check_preprocessing(metadata)
