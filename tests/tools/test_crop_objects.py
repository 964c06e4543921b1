import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

TOOL = Path(__file__).parents[2] / 'tools' / 'dev' / 'crop_objects.py'


def run(*args):
    return subprocess.run([sys.executable, TOOL, *map(str, args)], capture_output=True, text=True, timeout=60)


def write(folder, boxes, name='cat'):
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    (folder / 'images').mkdir()
    cv2.imwrite(str(folder / 'images' / 'a.png'), image)
    content = dict(
        images=[dict(id=4, file_name='a.png', width=60, height=50)],
        categories=[dict(id=1, name=name), dict(id=2, name='dog')],
        annotations=[dict(id=i, image_id=4, category_id=1 + i % 2, bbox=box, iscrowd=0) for i, box in enumerate(boxes)],
    )
    (folder / 'a.json').write_text(json.dumps(content))
    return image


def test_objects_lie_in_the_folders_of_their_classes(tmp_path):
    image = write(tmp_path, [[10, 5, 20, 30], [40, 20, 20, 30], [5, 5, 20, 8]])
    done = run(tmp_path / 'a.json', tmp_path / 'images', tmp_path / 'out', '--margin', '0.5')
    assert done.returncode == 0, done.stderr
    assert done.stdout == f'{tmp_path / "out"}: 2 of 3 objects\n'  # one is too small
    found = {str(path.relative_to(tmp_path / 'out')): cv2.imread(str(path)) for path in tmp_path.glob('out/*/*')}
    assert set(found) == {'cat/0.png', 'dog/1.png'}
    np.testing.assert_array_equal(found['cat/0.png'], image[0:51, 0:41])
    np.testing.assert_array_equal(found['dog/1.png'], image[5:50, 30:60])


def test_mistakes(tmp_path):
    write(tmp_path, [[10, 5, 20, 30]], name='../cat')
    named, images, out = tmp_path / 'a.json', tmp_path / 'images', tmp_path / 'out'
    for args, says in (
        (('nowhere.json', images, out), 'nowhere.json: cannot be read'),
        ((named, images, out), "the category '../cat' cannot name a folder"),
        ((named, images, out, '--margin', '-1'), '--margin must be 0 or more'),
        ((named, images, out, '--least', '0'), '--least must be at least 1'),
    ):
        done = run(*args)
        assert done.returncode == 2
        assert done.stderr.startswith('error: ')
        assert says in done.stderr
    named.write_text(named.read_text().replace('../cat', 'cat'))
    done = run(named, images, tmp_path)
    assert done.returncode == 2
    assert 'is not empty' in done.stderr
