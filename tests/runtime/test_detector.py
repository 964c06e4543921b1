import subprocess
import sys

import cv2
import numpy as np
import pytest
import tiny_model
from tiny_model import METADATA, save_onnx, save_openvino

from mfdet.errors import InputError
from mfdet.runtime import Detector
from mfdet.runtime.preprocessing import collate


@pytest.fixture(params=['onnx', 'xml'])
def detector(request, tmp_path):
    path = tmp_path / f'tiny.{request.param}'
    return Detector(save_onnx(path) if request.param == 'onnx' else save_openvino(path), threads=1)


def grey(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def check(found, height, width, value):
    """Check the detections in ``grey(height, width, value)``."""
    assert len(found) == 2
    assert [array.dtype for array in (found.boxes, found.scores, found.labels)] == [np.float32, np.float32, np.int64]
    whole, quarter = found.boxes
    np.testing.assert_array_equal(whole, [0, 0, width, height])  # the margin is clipped
    np.testing.assert_allclose(quarter, [0, 0, width / 2, height / 2], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [value / 255, value / 510], rtol=1e-5)
    assert found.labels.tolist() == [0, 1]
    assert found.names == ['cat', 'dog']


IMAGES = [(48, 96, 51), (96, 48, 102), (7, 5, 204), (33, 200, 255), (32, 64, 153)]


def test_one_array(detector):
    assert detector.classes == ['cat', 'dog']
    assert detector.metadata == METADATA
    check(detector(grey(48, 96, 51)), 48, 96, 51)


@pytest.mark.parametrize('batch_size', [1, 2, 5, 9])
def test_images_of_different_sizes_keep_order_and_pixels(detector, batch_size):
    batches = []
    run = detector._model.run
    detector._model.run = lambda images, sizes: batches.append(len(images)) or run(images, sizes)
    found = detector([grey(*image) for image in IMAGES], batch_size=batch_size)
    assert len(found) == len(IMAGES)
    for detections, image in zip(found, IMAGES, strict=True):
        check(detections, *image)
    assert batches == {1: [1] * 5, 2: [2, 2, 1], 5: [5], 9: [5]}[batch_size]


def test_timed(detector):
    found, preprocessing, model = detector.timed(grey(48, 96, 51), 0.15)
    assert found.names == ['cat']
    assert preprocessing > 0
    assert model > 0
    with pytest.raises(InputError, match='score_thr must be from 0 to 1'):
        detector.timed(grey(48, 96, 51), 2)


def test_paths_and_arrays(detector, tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), grey(48, 96, 51))
    check(detector(path), 48, 96, 51)
    found = detector([str(path), grey(20, 30, 255), np.full((10, 20), 102, np.uint8)], batch_size=3)
    for detections, image in zip(found, [(48, 96, 51), (20, 30, 255), (10, 20, 102)], strict=True):
        check(detections, *image)


def test_a_stream_reads_as_it_goes(detector, tmp_path):
    (tmp_path / 'below').mkdir()
    names = ['b.png', 'a.png', 'below/c.png']
    for name, image in zip(names, IMAGES, strict=False):
        cv2.imwrite(str(tmp_path / name), grey(*image))
    (tmp_path / 'note.txt').write_text('no image')
    expected = [(str(tmp_path / names[i]), IMAGES[i]) for i in (1, 0, 2)]
    for source in (tmp_path, f'{tmp_path}/**/*.png', (str(tmp_path / names[i]) for i in (1, 0, 2))):
        streamed = detector.stream(source, batch_size=2)
        for found, (path, image) in zip(streamed, expected, strict=True):
            check(found, *image)
            assert found.source == path
    arrays = detector.stream(grey(*image) for image in IMAGES[:1])
    assert next(arrays).source is None
    with pytest.raises(InputError, match=r'nowhere: no such image file, nor a folder that holds some'):
        detector.stream(tmp_path / 'nowhere')
    with pytest.raises(InputError, match='batch_size must be a whole number'):
        detector.stream(tmp_path, batch_size=0)


def test_images_of_pillow(detector):
    from PIL import Image

    assert len(detector(Image.new('L', (40, 50)))) == 0
    found = detector([Image.new('RGB', (96, 48), (51, 51, 51)), grey(20, 30, 255)])
    for detections, image in zip(found, [(48, 96, 51), (20, 30, 255)], strict=True):
        check(detections, *image)


def test_no_images_and_no_detections(detector):
    assert detector([]) == []
    nothing = detector(grey(40, 50, 0))  # scores are 0
    assert len(nothing) == 0
    assert (nothing.boxes.shape, nothing.scores.shape, nothing.labels.shape) == ((0, 4), (0,), (0,))
    assert nothing.names == []


def test_score_thr(detector):
    image = grey(32, 64, 204)  # scores 0.8 and 0.4
    assert [len(detector(image, score_thr=score)) for score in (0, 0.39, 0.5, 0.9, 1)] == [2, 2, 1, 0, 0]
    kept = detector(image, score_thr=0.5)
    assert kept.names == ['cat']
    at_threshold = float(detector(image).scores[1])
    assert len(detector(image, score_thr=at_threshold)) == 2


def test_channel_order_reaches_the_model(tmp_path):
    image = grey(32, 64, 0)
    image[:, :, 0] = 255  # blue
    std = [1e6, 1e6, 255]  # only the last channel counts
    scores = [
        Detector(save_onnx(tmp_path / 'a.onnx', {**METADATA, 'std': std, 'channel_order': order}))(image).scores[0]
        for order in ('rgb', 'bgr')
    ]
    assert scores == pytest.approx([1 / 3, 0], abs=1e-3)


def test_run_gives_raw_rows(detector):
    batch, sizes, _ = collate([grey(*image) for image in IMAGES[:2]], METADATA)
    boxes, scores, labels = detector.run(batch, sizes)
    assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int64)
    assert boxes.tolist() == [
        [[-2, -2, 66, 34], [0, 0, 32, 16], [0, 0, 0, 0]],
        [[-2, -2, 34, 66], [0, 0, 16, 32], [0, 0, 0, 0]],
    ]
    np.testing.assert_allclose(scores, [[0.2, 0.1, 0], [0.4, 0.2, 0]], rtol=1e-5)
    assert labels.tolist() == [[0, 1, 0]] * 2
    before = scores.copy()
    detector.run(batch * 2, sizes)
    np.testing.assert_array_equal(scores, before)  # results are not overwritten by the next run


def test_run_refuses_wrong_shapes(detector):
    with pytest.raises(InputError, match=r'tiny\.\w+: \w+ cannot run it on images of shape \(1, 4, 32, 32\)') as caught:
        detector.run(np.zeros((1, 4, 32, 32)), [[32, 32]])
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('images', 'options', 'message'),
    [
        (None, {}, 'images must be a path, an array, an image of Pillow or a list of those, not NoneType'),
        (grey(4, 4, 1)[None], {}, r'image 0: has shape \(1, 4, 4, 3\), must be one image'),
        ([grey(4, 4, 1), grey(4, 4, 1) / 255], {}, 'image 1: has dtype float64'),
        ([grey(4, 4, 1), 3], {}, 'image 1: must be a NumPy array, not int'),
        ('none.jpg', {}, 'none.jpg: no such image file'),
        ([], dict(score_thr=30), 'score_thr must be from 0 to 1, not 30'),
        ([], dict(score_thr='a'), "score_thr must be from 0 to 1, not 'a'"),
        ([], dict(score_thr=True), 'score_thr must be from 0 to 1, not True'),
        ([], dict(batch_size=0), 'batch_size must be a whole number from 1 up, not 0'),
        ([], dict(batch_size=True), 'batch_size must be a whole number from 1 up, not True'),
        ([], dict(batch_size=np.float64(2)), 'batch_size must be a whole number from 1 up, not'),
    ],
)
def test_wrong_arguments(tmp_path, images, options, message):
    detector = Detector(save_onnx(tmp_path / 'tiny.onnx'))
    with pytest.raises(InputError, match=message):
        detector(images, **options)


def test_numbers_of_numpy_are_numbers(tmp_path):
    detector = Detector(save_onnx(tmp_path / 'tiny.onnx'), threads=np.int32(2))
    found = detector([grey(*image) for image in IMAGES[:3]], score_thr=np.float32(0), batch_size=np.int64(2))
    assert [len(item) for item in found] == [2, 2, 2]


def fails(path, message, **options):
    with pytest.raises(InputError, match=message) as caught:
        Detector(path, **options)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_models(tmp_path):
    pytest.importorskip('onnxruntime')
    assert fails(tmp_path / 'none.onnx', 'no such model file').startswith(f'{tmp_path / "none.onnx"}: ')
    fails(tmp_path / 'model.pth', r'model.pth: an exported detector ends in \.onnx, \.xml, \.tflite, \.pte')
    for content in ('', 'no model'):
        (tmp_path / 'text.onnx').write_text(content)
        fails(tmp_path / 'text.onnx', 'text.onnx: is no model that onnxruntime can load: ')


def test_openvino_files_that_are_no_models(tmp_path):
    pytest.importorskip('openvino')
    (tmp_path / 'text.xml').write_text('<a/>')
    fails(tmp_path / 'text.xml', 'text.xml: is no model that openvino can load: ')
    path = save_openvino(tmp_path / 'tiny.xml')
    path.with_suffix('.bin').unlink()
    fails(path, 'tiny.xml: is no model that openvino can load: ')
    fails(save_openvino(tmp_path / 'bare.xml', None), "has no 'mfdet' metadata")


@pytest.mark.parametrize(
    ('metadata', 'message'),
    [
        (None, "has no 'mfdet' metadata, so it is not a model exported by mfdet"),
        ('{', "its 'mfdet' metadata is not JSON"),
        ('[]', "its 'mfdet' metadata must be an object, not list"),
        ({**METADATA, 'format': 2}, 'has format 2, this version of mfdet reads format 1; export the model again'),
        (dict(format=1, task='classification'), "is a model for 'classification', must be one for detection"),
        ({**METADATA, 'classes': []}, "metadata: 'classes' must be a list of names"),
        ({**METADATA, 'classes': [1]}, "metadata: 'classes' must be a list of names"),
        ({**METADATA, 'classes': ['\ud800']}, "metadata: 'classes' must be a list of names"),
        ({**METADATA, 'mean': [0, float('nan'), 0]}, "metadata: 'mean' must be a list of three finite numbers"),
        ({**METADATA, 'std': [1, 1, float('inf')]}, "metadata: 'std' must be a list of three finite numbers"),
        ({**METADATA, 'pad_divisor': 0}, "metadata: 'pad_divisor' must be"),
        ({**METADATA, 'resize': dict(scale=[8, 8], keep_ratio=False)}, "metadata: 'resize' must keep the ratio"),
    ],
)
def test_wrong_metadata(tmp_path, metadata, message):
    fails(save_onnx(tmp_path / 'tiny.onnx', metadata), f'^{tmp_path / "tiny.onnx"}: .*{message}')


def test_a_header_nested_too_deep(tmp_path):
    fails(save_onnx(tmp_path / 'tiny.onnx', '[' * 200_000), "tiny.onnx: its 'mfdet' metadata is not JSON: maximum")


@pytest.mark.parametrize('wrong', [float('nan'), float('inf')])
def test_scores_that_are_not_finite_are_said(tmp_path, wrong):
    detector = Detector(save_onnx(tmp_path / 'tiny.onnx', weight=(1, 0.5, wrong)))
    with pytest.raises(InputError, match=r'tiny\.onnx: gives scores or boxes that are not finite'):
        detector(grey(32, 64, 51))


def test_missing_output(tmp_path):
    fails(save_onnx(tmp_path / 'tiny.onnx', outputs=tiny_model.OUTPUTS[:2]), "has no output 'labels'")


def test_label_without_a_name(tmp_path):
    detector = Detector(save_onnx(tmp_path / 'tiny.onnx', label=2))
    with pytest.raises(InputError, match='gives labels from 0 to 2, but its metadata names 2 classes'):
        detector(grey(32, 64, 51))


@pytest.mark.parametrize(
    ('name', 'package', 'install'),
    [('a.onnx', 'onnxruntime', r'"mfdet\[runtime\]"'), ('a.xml', 'openvino', 'openvino')],
)
def test_missing_package_is_named(tmp_path, monkeypatch, name, package, install):
    monkeypatch.setitem(sys.modules, package, None)  # an import of it fails
    (tmp_path / name).touch()
    fails(tmp_path / name, f'{name}: needs {package}: pip install {install}$')


def test_threads(tmp_path):
    path = save_onnx(tmp_path / 'tiny.onnx')
    assert Detector(path, threads=3)._model.session.get_session_options().intra_op_num_threads == 3
    fails(path, r'threads must be a whole number from 1 to \d+, or None, not 0', threads=0)
    fails(path, 'or None, not 100000', threads=100000)
    fails(path, 'or None, not True', threads=True)


def test_openvino_threads_and_precision(tmp_path):
    compiled = Detector(save_openvino(tmp_path / 'tiny.xml'), threads=1)._model.compiled
    assert compiled.get_property('INFERENCE_NUM_THREADS') == 1
    assert compiled.get_property('INFERENCE_PRECISION_HINT').to_string() == 'f32'


@pytest.mark.parametrize('suffix', ['onnx', 'xml'])
def test_no_training_package_is_imported(tmp_path, suffix):
    path = tmp_path / f'tiny.{suffix}'
    (save_onnx if suffix == 'onnx' else save_openvino)(path)
    script = (
        'import sys, numpy\n'
        'from mfdet.runtime import Detector\n'
        'backends = {"onnxruntime", "openvino"} & set(sys.modules)\n'
        'assert not backends, backends\n'
        'found = Detector(sys.argv[1], threads=1)(numpy.full((48, 96, 3), 51, numpy.uint8))\n'
        'heavy = {"torch", "mmdet", "mmengine", "mmcv"} & set(sys.modules)\n'
        'assert not heavy, heavy\n'
        'print(len(found))'
    )
    done = subprocess.run([sys.executable, '-c', script, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, '2\n'), done.stderr
