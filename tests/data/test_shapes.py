import hashlib
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mfdet.data import shapes
from mfdet.data.shapes import CLASSES, generate, layout, to_coco, write_coco
from mfdet.errors import InputError

ROOT = Path(__file__).parents[2]
SIZE = (96, 128)
AREAS = {  # of a shape of circumradius 1
    'ellipse': math.pi,
    'rectangle': 2,
    'triangle': 3 * math.sqrt(3) / 4,
    'star': 5 * math.sin(math.radians(36)) * math.cos(math.radians(72)) / math.cos(math.radians(36)),
    'cross': 8 * 0.33 * math.sqrt(1 - 0.33**2) - 4 * 0.33**2,
    'ring': math.pi * (1 - 0.55**2),
}


@pytest.fixture(scope='module')
def layouts():
    return [layout(index, 3, SIZE) for index in range(400)]


def digest(sample):
    return hashlib.sha256(b''.join(array.tobytes() for array in sample)).hexdigest()


def test_image_boxes_and_labels_are_pinned():
    image, boxes, labels = generate(3, 0, SIZE)
    assert (image.shape, image.dtype) == ((96, 128, 3), np.uint8)
    assert (boxes.dtype, labels.dtype) == (np.float32, np.int64)
    assert labels.tolist() == [1, 0, 5, 0, 2, 0, 5]
    assert boxes.tolist() == [
        [87, 25, 98, 36],
        [23, 54, 32, 63],
        [46, 23, 59, 40],
        [5, 0, 30, 24],
        [72, 16, 85, 29],
        [0, 19, 8, 30],
        [21, 4, 36, 17],
    ]
    # Not the exact pixels: OpenCV's rounding differs between its versions.
    np.testing.assert_allclose(image.mean((0, 1)), [45.4, 56.3, 140.6], atol=1)


def test_same_arguments_give_the_same_bytes_in_another_process_without_torch():
    code = (
        'import hashlib, sys; from mfdet.data.shapes import generate; sample = generate(5, 7, (96, 128)); '
        'print(hashlib.sha256(b"".join(a.tobytes() for a in sample)).hexdigest(), "torch" in sys.modules)'
    )
    output = subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert output.split() == [digest(generate(5, 7, SIZE)), 'False']
    assert digest(generate(5, 7, SIZE)) == digest(generate(5, 7, SIZE))


def test_every_seed_and_index_differs():
    samples = {digest(generate(index, seed, SIZE)) for index in range(5) for seed in range(5)}
    assert len(samples) == 25


def test_layout_has_the_annotations_of_the_image():
    for index in range(10):
        placed, sample = layout(index, 1, SIZE), generate(index, 1, SIZE)
        np.testing.assert_array_equal(placed.boxes, sample.boxes)
        np.testing.assert_array_equal(placed.labels, sample.labels)


def test_boxes_are_the_extent_of_the_visible_pixels(layouts):
    for placed in layouts:
        assert placed.owner.max() == len(placed.shapes) == len(placed.boxes) == len(placed.labels)
        for number, box in enumerate(placed.boxes, 1):
            rows, columns = np.nonzero(placed.owner == number)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_later_shapes_cover_earlier_ones(layouts):
    for placed in layouts:
        owner = np.zeros(SIZE, dtype=int)
        for number, shape in enumerate(placed.shapes, 1):
            owner[shape.window][shape.level <= 1] = number
        np.testing.assert_array_equal(placed.owner, owner)


def test_at_least_two_fifths_of_every_shape_are_visible(layouts):
    shares, cut = [], 0
    for placed in layouts:
        for number, shape in enumerate(placed.shapes, 1):
            shares.append((placed.owner == number).sum() / shape.area)
            cut += (shape.level <= 1).sum() < shape.area
    assert 0.4 <= min(shares) < 0.5
    assert 0.2 < np.mean(np.array(shares) < 1) < 0.6
    assert cut > 50


@pytest.mark.parametrize(('name', 'area'), AREAS.items())
def test_shapes_have_their_area_and_reach_the_unit_circle(name, area):
    u, v = np.meshgrid(*[np.linspace(-1.1, 1.1, 1101)] * 2)
    inside = shapes._level(name, u, v) <= 1
    assert inside.mean() * 2.2**2 == pytest.approx(area, rel=0.01)
    assert np.hypot(u, v)[inside].max() == pytest.approx(1, abs=0.01)


def test_area_counts_what_the_border_cuts_off(layouts):
    cut = 0
    for placed in layouts:
        for shape in placed.shapes:
            # One pixel's step along the shape's own axes tells its radius and stretch.
            steps = [np.hypot(axis[0, 1] - axis[0, 0], axis[1, 0] - axis[0, 0]) for axis in (shape.u, shape.v)]
            if steps[0] < 0.1:
                assert shape.area == pytest.approx(AREAS[CLASSES[shape.label]] / math.prod(steps), rel=0.15)
                cut += len(set(shape.level.shape)) > 1
    assert cut > 50


def test_classes_counts_and_sizes_vary(layouts):
    counts = np.bincount([len(placed.shapes) for placed in layouts], minlength=9)
    assert len(counts) == 9
    assert 4 <= counts[0] <= 32
    assert counts[1:].min() > 20
    labels = np.concatenate([placed.labels for placed in layouts])
    assert np.bincount(labels).min() > 0.8 * len(labels) / 6
    assert len(np.bincount(labels)) == len(CLASSES)
    # A window is two radii wide, rounded up to an odd number of pixels.
    sides = [max(shape.level.shape) for placed in layouts for shape in placed.shapes]
    assert min(sides) <= 0.1 * 96 + 3
    assert 0.45 * 96 < max(sides) <= 0.5 * 96 + 3


def test_max_objects_bounds_the_count():
    counts = [len(layout(index, 0, SIZE, max_objects=2).shapes) for index in range(60)]
    assert max(counts) == 2


def test_painting_stays_inside_the_shape_and_stands_out(layouts):
    rng = np.random.default_rng(0)
    for placed in layouts[:60]:
        for shape in placed.shapes:
            below = (255 * rng.random(3)).astype(np.uint8)
            image = np.full((*SIZE, 3), below, dtype=np.uint8)
            shapes._paint(rng, image, shape, clutter=1.0)
            painted = np.zeros(SIZE, dtype=bool)
            painted[shape.window] = shape.level <= 1
            assert np.all(image[~painted] == below)
            distance = np.linalg.norm(image[painted].astype(float) - below, axis=1)
            assert distance.mean() > 50


def test_little_clutter_is_greyer_and_gives_each_class_its_colour():
    def saturation(clutter):
        images = [shapes._background(np.random.default_rng(seed), *SIZE, clutter).astype(float) for seed in range(20)]
        return np.mean([np.ptp(image, axis=-1).mean() for image in images])

    assert saturation(0.2) < 0.5 * saturation(1.0)
    for index in range(20):
        placed = layout(index, 0, SIZE)
        image = generate(index, 0, SIZE, clutter=0.0).image
        for number, shape in enumerate(placed.shapes):
            inner = (shape.level < 0.6) & (placed.owner[shape.window] == number + 1)
            expected = 255 * shapes.CLASS_COLORS[shape.label]
            assert np.abs(image[shape.window][inner] - expected).max(initial=0) <= 1


def test_diameters_bound_the_shapes():
    sides = np.concatenate(
        [np.diff(layout(i, 0, SIZE, 1, (0.4, 0.5)).boxes.reshape(-1, 2, 2), axis=1).ravel() for i in range(60)]
    )
    assert sides.max() <= 0.5 * min(SIZE) + 2


def test_backgrounds_are_textured_and_differ():
    images = [shapes._background(np.random.default_rng(seed), *SIZE, clutter=1.0) for seed in range(30)]
    assert all(image.shape == (*SIZE, 3) for image in images)
    assert min(image.std((0, 1)).max() for image in images) > 3
    assert np.std([image.mean() for image in images]) > 20


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ({'index': -1}, 'index'),
        ({'seed': -1}, 'seed'),
        ({'seed': 2**32}, 'seed'),
        ({'size': (31, 64)}, 'size'),
        ({'size': 64}, 'size'),
        ({'size': (64, 64, 64)}, 'size'),
        ({'max_objects': 0}, 'max_objects'),
        ({'max_objects': 256}, 'max_objects'),
        ({'diameters': (0.5, 0.2)}, 'diameters'),
        ({'diameters': (0.0, 0.2)}, 'diameters'),
        ({'diameters': (0.2, 1.1)}, 'diameters'),
        ({'clutter': -0.1}, 'clutter'),
        ({'clutter': 1.1}, 'clutter'),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, word):
    with pytest.raises(InputError, match=word):
        generate(**{'index': 0, **arguments})


def test_coco_dict_loads_and_holds_the_boxes():
    data = to_coco(30, 2, SIZE, 'val')
    coco = COCO()
    coco.dataset = data
    coco.createIndex()
    assert [coco.cats[number]['name'] for number in range(1, 7)] == list(CLASSES)
    assert coco.getImgIds() == list(range(1, 31))
    assert data['images'][11] == {'id': 12, 'file_name': 'val_000012.png', 'height': 96, 'width': 128}
    assert sorted(coco.anns) == list(range(1, len(data['annotations']) + 1))
    for index in range(30):
        annotations = coco.imgToAnns[index + 1]
        placed = layout(index, 2, SIZE)
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (annotation['bbox'] for annotation in annotations)]
        assert boxes == placed.boxes.tolist()
        assert [annotation['category_id'] - 1 for annotation in annotations] == placed.labels.tolist()
    for annotation in data['annotations']:
        assert annotation['area'] == annotation['bbox'][2] * annotation['bbox'][3]
        assert annotation['iscrowd'] == 0


def test_written_set_holds_the_images_and_annotations(tmp_path):
    folder = tmp_path / 'new' / 'set'
    path = write_coco(folder, 3, 4, SIZE, 'train')
    assert path == folder / 'annotations' / 'train.json'
    assert json.loads(path.read_text()) == to_coco(3, 4, SIZE, 'train')
    assert sorted(p.name for p in folder.iterdir()) == ['annotations', 'images']
    assert sorted(p.name for p in (folder / 'images').iterdir()) == [f'train_00000{n}.png' for n in (1, 2, 3)]
    np.testing.assert_array_equal(cv2.imread(str(folder / 'images/train_000002.png')), generate(1, 4, SIZE).image)


def test_a_folder_named_in_latin_1(tmp_path):
    folder = tmp_path / os.fsdecode(b'\xe9')  # OpenCV crashes at such names
    write_coco(folder, 1, 0, SIZE, 'train')
    assert (folder / 'images' / 'train_000001.png').is_file()


def test_one_folder_takes_several_names_but_none_twice(tmp_path):
    write_coco(tmp_path, 1, 0, SIZE, 'a_1')
    write_coco(tmp_path, 1, 1, SIZE, 'a')
    with pytest.raises(InputError, match="already holds a set named 'a'"):
        write_coco(tmp_path, 1, 2, SIZE, 'a')
    (tmp_path / 'annotations/a.json').unlink()
    with pytest.raises(InputError, match="already holds a set named 'a'"):
        write_coco(tmp_path, 1, 2, SIZE, 'a')


def test_folders_with_other_content_are_refused(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(InputError, match=r'notes\.txt'):
        write_coco(tmp_path, 1)
    with pytest.raises(InputError, match='is a file'):
        write_coco(tmp_path / 'notes.txt', 1)
    with pytest.raises(InputError, match='cannot be made'):
        write_coco(tmp_path / 'notes.txt' / 'inner', 1)


def test_failure_leaves_no_file(tmp_path, monkeypatch):
    written = []

    def fail_at_third(path, image):
        written.append(path)
        return len(written) < 3 and imwrite(path, image)

    imwrite = cv2.imwrite
    monkeypatch.setattr(cv2, 'imwrite', fail_at_third)
    with pytest.raises(OSError, match='cannot write'):
        write_coco(tmp_path, 4, 0, SIZE)
    assert len(written) == 3
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['annotations', 'images']


@pytest.fixture
def command():
    spec = importlib.util.spec_from_file_location('make_shapes', ROOT / 'tools/dev/make_shapes.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_command_writes_a_set(command, tmp_path, capsys):
    assert command([str(tmp_path), '--count', '2', '--seed', '9', '--size', '40', '50', '--name', 'val']) == 0
    path = Path(capsys.readouterr().out.strip())
    assert json.loads(path.read_text()) == to_coco(2, 9, (40, 50), 'val')


@pytest.mark.parametrize(
    ('options', 'word'),
    [
        (['--count', '0'], 'count'),
        (['--seed', '-1'], 'seed'),
        (['--size', '8', '64'], 'size'),
        (['--name', '../x'], 'name'),
    ],
)
def test_command_refuses_values_out_of_range(command, options, word, tmp_path, capsys):
    assert command([str(tmp_path / 'out'), *options]) == 2
    assert f'error: {word} is' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
