import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / 'tools' / 'dev' / 'subset_coco.py'


def run(*args):
    return subprocess.run([sys.executable, TOOL, *map(str, args)], capture_output=True, text=True, timeout=60)


def test_keeps_the_first_images_and_their_annotations(tmp_path):
    content = dict(
        images=[dict(id=i) for i in (5, 3, 8)],
        annotations=[dict(id=i, image_id=image) for i, image in enumerate((8, 3, 5, 3))],
        categories=[dict(id=1, name='a')],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    assert run(tmp_path / 'a.json', tmp_path / 'b.json', '--images', 2).returncode == 0
    kept = json.loads((tmp_path / 'b.json').read_text())
    assert [image['id'] for image in kept['images']] == [5, 3]
    assert [a['id'] for a in kept['annotations']] == [1, 2, 3]
    assert kept['categories'] == content['categories']


def test_mistakes(tmp_path):
    (tmp_path / 'a.json').write_text('[]')
    for args, says in (
        (('nowhere.json', tmp_path / 'b.json'), 'nowhere.json: cannot be read'),
        ((tmp_path / 'a.json', tmp_path / 'b.json'), 'a.json is no COCO annotation file'),
        ((tmp_path / 'a.json', tmp_path / 'b.json', '--images', '0'), '--images'),
    ):
        done = run(*args)
        assert done.returncode == 2
        assert done.stderr.startswith('error: ')
        assert says in done.stderr
    assert not (tmp_path / 'b.json').exists()
