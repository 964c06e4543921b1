"""Checks of COCO data sets, and conversion from other forms."""

import copy
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from quick import QUICK

from mfdet.commands import check_dataset, convert_dataset, train
from mfdet.data.check import check_annotations, draw_sizes, summarize
from mfdet.data.convert import from_voc, from_yolo
from mfdet.data.shapes import write_coco
from mfdet.errors import InputError

SMALL = str(Path(__file__).parents[2] / 'configs' / 'small' / 'retinanet_mf151m.py')
GOOD = dict(
    images=[dict(id=1, file_name='a.jpg', width=40, height=30), dict(id=2, file_name='b.jpg', width=40, height=30)],
    categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
    annotations=[dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 40, 30], area=1200, iscrowd=0)],
)


def changed(section, place, **fields):
    content = copy.deepcopy(GOOD)
    content[section][place].update(fields)
    return content


def test_a_good_file_has_no_problems():
    assert check_annotations(GOOD, 'a.json') == []
    summary = summarize(GOOD)
    assert summary['images_without_objects'] == 1
    assert summary['classes'] == dict(cat=1, dog=0)
    assert summary['sizes'] == dict(small=0, medium=1, large=0)


@pytest.mark.parametrize(
    ('content', 'severity', 'says'),
    [
        (changed('annotations', 0, bbox=[0, 0, 0, 5]), 'error', 'has no area'),
        (changed('annotations', 0, bbox=[0, 0, -3, 5]), 'error', 'has no area'),
        (changed('annotations', 0, bbox=[0, 0, float('nan'), 5]), 'error', 'is not finite'),
        (changed('annotations', 0, bbox=[50, 0, 5, 5]), 'error', 'is outside the image of 40×30'),
        (changed('annotations', 0, bbox=[38, 0, 9, 5]), 'warning', 'leaves the image of 40×30'),
        (changed('annotations', 0, bbox=[1, 2, 3]), 'error', 'bbox is [1, 2, 3]'),
        (changed('annotations', 0, bbox=None), 'error', 'bbox is None'),
        (changed('annotations', 0, category_id=7), 'error', 'category_id 7 is not in "categories"'),
        (changed('annotations', 0, image_id='1'), 'error', 'image_id \'1\' is not in "images"'),
        (changed('annotations', 0, iscrowd=2), 'error', 'iscrowd is 2'),
        (changed('annotations', 0, id=None), 'error', 'id is None'),
        (changed('images', 1, id=1), 'error', 'the id is there twice in "images"'),
        (changed('images', 1, file_name='a.jpg'), 'error', "file_name 'a.jpg' is there twice"),
        (changed('images', 1, height=0), 'error', 'height is 0'),
        (changed('categories', 1, name='cat'), 'error', "name 'cat' is there twice"),
        (dict(GOOD, categories=[]), 'error', 'there are none'),
    ],
)
def test_each_mistake_is_named(content, severity, says):
    problems = check_annotations(content, 'a.json')
    assert any(says in str(problem) and problem.severity == severity for problem in problems), problems


def test_the_axis_of_sizes_has_several_labels(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, path, **_: figures.append(figure) or open(path, 'w').close())
    for sides in ((40, 60), (2, 900), (0.5, 5000)):
        items = [dict(GOOD['annotations'][0], bbox=[0, 0, side, side]) for side in sides]
        draw_sizes(dict(GOOD, annotations=items), tmp_path / 'sizes.png')
        figure = figures.pop()
        figure.draw_without_rendering()
        axis = figure.axes[0].xaxis
        low, high = axis.get_view_interval()
        labels = [tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        assert len(labels) >= 2
        assert all(float(label) > 0 for label in labels)


def check(capsys, *args):
    code = check_dataset.main([*map(str, args)])
    return code, capsys.readouterr()


def test_images_are_looked_at(tmp_path, capsys):
    from PIL import Image

    picture = np.full((30, 40, 3), 90, np.uint8)
    names = ['good', 'short', 'empty', 'text', 'missing', 'size', 'turned']
    images = [dict(id=i, file_name=f'{name}.jpg', width=40, height=30) for i, name in enumerate(names, 1)]
    for name in names:
        cv2.imwrite(str(tmp_path / f'{name}.jpg'), picture[:20] if name == 'size' else picture)
    content = (tmp_path / 'short.jpg').read_bytes()
    (tmp_path / 'short.jpg').write_bytes(content[: len(content) * 2 // 3])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'missing.jpg').unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / 'turned.jpg', exif=exif)
    ann = tmp_path / 'ann.json'
    ann.write_text(json.dumps(dict(GOOD, images=images)))
    code, output = check(capsys, ann, '--images', tmp_path, '--json', '--plot', tmp_path / 'sizes.png')
    report = json.loads(output.out)
    assert code == 2
    assert {os.path.basename(p['file']): p['what'].split(' (')[0] for p in report['problems']} == {
        'short.jpg': 'it is damaged or cut short',
        'empty.jpg': 'the file is empty',
        'text.jpg': 'it is no image, or one that is too large',
        'missing.jpg': 'there is no such file',
        'size.jpg': 'it is 40×20, the annotation file says 40×30',
        'turned.jpg': 'it is 40×30 as stored, but 30×40 upright: its EXIF entry turns it',
    }
    assert cv2.imread(str(tmp_path / 'sizes.png')) is not None
    assert check(capsys, ann)[0] == 0
    content = changed('annotations', 0, bbox=[0, 0, 10**200, 10**200])
    content['categories'] = [dict(id=i, name=name) for i, name in enumerate(['\ud800', '$\\x$', '', 'Käse'], 1)]
    content['images'][0]['file_name'] = 'a\udce9\0.png'
    ann.write_text(json.dumps(content))
    code, output = check(capsys, ann, '--plot', tmp_path / 'odd.png')
    assert code == 2
    assert cv2.imread(str(tmp_path / 'odd.png')) is not None
    for says in (
        r"category 1: name is '\ud800'; it must be a text without lone surrogates",
        r"file_name is 'a\udce9\x00.png'; it must be",
        'is beyond any image; no number may be beyond 1e+09 pixels',
        '\n  \\ud800 ',
    ):
        assert says in output.out
    ann.write_text(json.dumps(changed('annotations', 0, bbox=[38, 0, 9, 5])))
    code, output = check(capsys, ann)
    assert code == 1
    assert '0 errors, 1 warnings' in output.out


def test_training_stops_at_wrong_boxes_or_leaves_them_out(tmp_path, capsys):
    write_coco(tmp_path, 6, size=(64, 64))
    ann = tmp_path / 'annotations' / 'shapes.json'
    content = json.loads(ann.read_text())
    for item in content['annotations'][:12]:
        item['bbox'][2] = float('nan')
    ann.write_text(json.dumps(content))
    good = tmp_path / 'annotations' / 'good.json'
    good.write_text(json.dumps(dict(content, annotations=content['annotations'][12:])))
    options = [
        SMALL, '--data-root', tmp_path, '--train-ann', 'annotations/shapes.json', '--train-images', 'images',
        '--val-ann', 'annotations/good.json', '--val-images', 'images', '--work-dir', tmp_path / 'work',
    ]  # fmt: skip
    quick = [*QUICK, 'train_cfg.max_epochs=1', 'val_dataloader.batch_size=2']
    assert train.main([str(arg) for arg in [*options, '--cfg-options', *quick]]) == 2
    error = capsys.readouterr().err
    assert 'shapes.json: 12 errors to correct before training; --allow-bad-boxes leaves wrong boxes out' in error
    assert len(error.splitlines()) == 11
    assert not (tmp_path / 'work').exists()
    assert train.main([str(arg) for arg in [*options, '--allow-bad-boxes', '--cfg-options', *quick]]) == 0
    assert '12 annotations are left out' in capsys.readouterr().err


def test_a_folder_of_other_images_is_one_sentence(tmp_path, capsys):
    (tmp_path / 'a.json').write_text(json.dumps(GOOD))
    assert check_dataset.main([str(tmp_path / 'a.json'), '--images', str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: --images ')
    assert error.endswith('none of the 2 images is there, such as a.jpg\n')


def write_voc(folder, content, first=0):
    """Write a COCO dict as a VOC folder."""
    (folder / 'Annotations').mkdir(parents=True)
    names = {item['id']: item['name'] for item in content['categories']}
    for image in content['images']:
        objects = ''
        for item in content['annotations']:
            if item['image_id'] == image['id']:
                x, y, w, h = item['bbox']
                edges = dict(xmin=x + first, ymin=y + first, xmax=x + w, ymax=y + h)
                box = ''.join(f'<{key}>{value}</{key}>' for key, value in edges.items())
                objects += f'<object><name>{names[item["category_id"]]}</name><bndbox>{box}</bndbox></object>'
        text = f'<annotation><filename>{image["file_name"]}</filename>{objects}</annotation>'
        (folder / 'Annotations' / f'{Path(image["file_name"]).stem}.xml').write_text(text)


def write_yolo(folder, content):
    """Write a COCO dict as the labels of a YOLO folder."""
    (folder / 'labels').mkdir()
    numbers = {item['id']: i for i, item in enumerate(content['categories'])}
    for image in content['images']:
        lines = []
        for item in content['annotations']:
            if item['image_id'] == image['id']:
                x, y, w, h = item['bbox']
                shares = (
                    (x + w / 2) / image['width'],
                    (y + h / 2) / image['height'],
                    w / image['width'],
                    h / image['height'],
                )
                lines.append(f'{numbers[item["category_id"]]} ' + ' '.join(f'{share:.9f}' for share in shares))
        (folder / 'labels' / f'{Path(image["file_name"]).stem}.txt').write_text('\n'.join(lines))


def boxes_of(content):
    files = {item['id']: item['file_name'] for item in content['images']}
    names = {item['id']: item['name'] for item in content['categories']}
    return sorted((files[a['image_id']], names[a['category_id']], *a['bbox']) for a in content['annotations'])


@pytest.fixture
def odd_folders(tmp_path):
    """A VOC data set whose folders are called ``annots`` and ``pictures``; an image belongs to none.

    Beside it, the COCO dict that it is made of.
    """
    write_coco(tmp_path / 'coco', 4, size=(64, 64))
    source = tmp_path / 'source'
    content = json.loads((tmp_path / 'coco' / 'annotations' / 'shapes.json').read_text())
    write_voc(source, content)
    (source / 'Annotations').rename(source / 'annots')
    (tmp_path / 'coco' / 'images').rename(source / 'pictures')
    (source / 'previews').mkdir()
    cv2.imwrite(str(source / 'previews' / 'other.png'), np.zeros((9, 9, 3), np.uint8))
    return source, content


def test_voc_folders_of_other_names_are_found_by_what_they_hold(odd_folders, tmp_path, capsys):
    source, content = odd_folders
    converted, problems = from_voc(source)
    assert problems == []
    assert [row[:2] for row in boxes_of(converted)] == [row[:2] for row in boxes_of(content)]
    assert convert_dataset.main(['voc', str(source), '--out', str(tmp_path / 'a.json')]) == 0
    assert f'annotations of {source / "annots"}, images of {source / "pictures"}\n' in capsys.readouterr().out


def test_voc_folders_are_named_where_several_could_be_meant(odd_folders):
    source, content = odd_folders
    shutil.copytree(source / 'annots', source / 'old')
    shutil.copytree(source / 'pictures', source / 'small')
    with pytest.raises(InputError, match=r'several folders in it hold \.xml files \(annots, old\); name one with'):
        from_voc(source)
    with pytest.raises(InputError, match=r'hold images \(pictures, small\); name one with --images'):
        from_voc(source, annotations='annots')
    converted, problems = from_voc(source, annotations='annots', images='small')
    assert (len(converted['annotations']), problems) == (len(content['annotations']), [])
    with pytest.raises(InputError, match='--images nowhere: no such folder in '):
        from_voc(source, annotations='annots', images='nowhere')
    with pytest.raises(InputError, match='no folder in it holds images, so it is no Pascal-VOC data set'):
        from_voc(source / 'annots')


@pytest.mark.parametrize('kind', ['voc', 'voc from 1', 'yolo'])
def test_a_round_trip_keeps_every_box(tmp_path, kind):
    write_coco(tmp_path, 8, size=(90, 130))
    content = json.loads((tmp_path / 'annotations' / 'shapes.json').read_text())
    if kind == 'yolo':
        write_yolo(tmp_path, content)
        names = [item['name'] for item in content['categories']]
        (tmp_path / 'data.yaml').write_text(f'names: {json.dumps(names)}')
        converted, problems = from_yolo(tmp_path)
        assert [item['name'] for item in converted['categories']] == names
    else:
        (tmp_path / 'images').rename(tmp_path / 'JPEGImages')
        write_voc(tmp_path, content, first=int(kind != 'voc'))
        converted, problems = from_voc(tmp_path, one_based=kind != 'voc')
    assert problems == []
    expected, actual = boxes_of(content), boxes_of(converted)
    assert [row[:2] for row in actual] == [row[:2] for row in expected]
    np.testing.assert_allclose([row[2:] for row in actual], [row[2:] for row in expected], atol=1e-3)
    assert check_annotations(converted, 'a.json') == []


def test_what_cannot_be_converted_is_named(tmp_path, capsys):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'data.yaml').write_text('names: {0: cat, 1: dog}')
    cv2.imwrite(str(tmp_path / 'images' / 'a.png'), np.zeros((20, 30, 3), np.uint8))
    (tmp_path / 'labels' / 'a.txt').write_text('0 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.1 0.1\n1 0.5 0.5 0 0.1\n1 0.5 x 0 0.1\n')
    out = tmp_path / 'a.json'
    assert convert_dataset.main(['yolo', str(tmp_path), '--out', str(out)]) == 1
    output = capsys.readouterr().out
    assert 'line 2: has class 2; it must be from 0 to 1' in output
    assert 'line 3: bbox' in output
    assert "line 4: is '1 0.5 x 0 0.1'" in output
    assert len(json.loads(out.read_text())['annotations']) == 1
    assert convert_dataset.main(['yolo', str(tmp_path), '--out', str(out)]) == 2
    assert 'is there already' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['voc', '.', '--out', 'a.json'], 'no folder in it holds .xml files, so it is no Pascal-VOC data set'),
        (['yolo', '.', '--out', 'a.json'], 'has neither data.yaml nor classes.txt'),
        (['voc', 'nowhere', '--out', 'a.json'], 'nowhere: no such folder'),
        (['yolo', '.', '--out', 'a.json', '--one-based'], '--one-based goes with voc'),
        (['yolo', '.', '--out', 'a.json', '--images', 'b'], '--images goes with voc'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(args, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert convert_dataset.main(args) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif('MFDET_TEST_DATA' not in os.environ, reason='MFDET_TEST_DATA is not set to a folder with bccd/')
@pytest.mark.parametrize(('split', 'image'), [('train', 'BloodImage_00343'), ('val', 'BloodImage_00338')])
def test_the_blood_cells_have_two_degenerate_boxes(split, image):
    folder = Path(os.environ['MFDET_TEST_DATA'], 'bccd')
    content, problems = from_voc(folder, split)
    assert [(Path(problem.file).stem, 'has no area' in problem.what) for problem in problems] == [(image, True)]
    expected = json.loads((folder / 'annotations_coco' / f'instances_{split}.json').read_text())
    np.testing.assert_allclose(
        [row[2:] for row in boxes_of(content)], [row[2:] for row in boxes_of(expected)], atol=1e-3
    )
