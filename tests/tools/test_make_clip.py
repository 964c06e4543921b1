import subprocess
import sys
from pathlib import Path

import cv2

TOOL = Path(__file__).parents[2] / 'tools' / 'dev' / 'make_clip.py'


def run(*args):
    return subprocess.run([sys.executable, TOOL, *map(str, args)], capture_output=True, text=True, timeout=60)


def test_a_clip_and_its_truth(tmp_path):
    out = tmp_path / 'clip.mp4'
    done = run(out, '--frames', 6, '--fps', 12, '--size', 48, 64, '--objects', 2)
    assert done.stderr == ''
    assert done.stdout.startswith(f'{out}: 6 frames, 2 objects; {tmp_path}/clip_truth.txt: ')
    clip = cv2.VideoCapture(str(out))
    assert (clip.get(cv2.CAP_PROP_FRAME_COUNT), clip.get(cv2.CAP_PROP_FPS)) == (6, 12)
    rows = [
        [float(value) for value in line.split(',')] for line in (tmp_path / 'clip_truth.txt').read_text().splitlines()
    ]
    assert {row[0] for row in rows} == set(range(1, 7))
    assert {row[1] for row in rows} == {1, 2}
    for _, _, x, y, width, height, *rest in rows:  # pixels count from 1
        assert min(x, y) >= 1
        assert x + width <= 65
        assert y + height <= 49
        assert rest == [1, 1, 1]


def test_mistakes(tmp_path):
    for args, says in (('clip.txt',), 'must end in .mp4'), (('clip.mp4', '--frames', 0), '--frames must be at least 1'):
        done = run(tmp_path / args[0], *args[1:])
        assert (done.returncode, done.stderr.count('\n')) == (2, 1)
        assert says in done.stderr
