import json
import subprocess
import sys
from pathlib import Path

import cv2

TOOL = Path(__file__).parents[2] / 'tools' / 'dev' / 'compare_runs.py'


def run(*args):
    return subprocess.run([sys.executable, TOOL, *map(str, args)], capture_output=True, text=True, timeout=60)


def write_run(folder, aps):
    path = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    records = [
        {'coco/bbox_mAP': ap, 'coco/bbox_mAP_50': ap + 0.2, 'coco/bbox_mAP_75': ap + 0.1, 'step': epoch}
        for epoch, ap in aps.items()
    ]
    path.write_text('\n'.join(map(json.dumps, records)))
    return folder


def test_means_and_ranges_over_the_seeds(tmp_path):
    seeds = [write_run(tmp_path / str(i), aps) for i, aps in enumerate(({2: 0.1, 4: 0.3}, {2: 0.2, 4: 0.5}))]
    other = write_run(tmp_path / 'other', {4: 0.25})
    done = run(f'A={seeds[0]},{seeds[1]}', f'B={other}', '--out', tmp_path / 'curves.png')
    assert done.stdout.splitlines() == [
        '|  | runs | AP after 2 | AP after 4 | range | AP50 | AP75 |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| A | 2 | 0.150 | 0.400 | 0.300–0.500 | 0.600 | 0.500 |',
        '| B | 1 | - | 0.250 | 0.250–0.250 | 0.450 | 0.350 |',
    ]
    assert cv2.imread(str(tmp_path / 'curves.png')).shape[0] > 200


def test_mistakes(tmp_path):
    seeds = [write_run(tmp_path / str(i), aps) for i, aps in enumerate(({2: 0.1}, {3: 0.2}))]
    undefined, torn = write_run(tmp_path / 'undefined', {2: -1}), write_run(tmp_path / 'torn', {2: 0.1})
    with next(torn.glob('*/vis_data/scalars.json')).open('a') as file:
        file.write('\n{"coco/bb')
    for args, says in (
        ((f'A={undefined}',), 'AP after epoch 2 is undefined'),
        ((f'A={torn}',), 'its scalars.json cannot be read'),
        ((f'A={seeds[0]}', f'A={seeds[1]}'), 'is given twice'),
        ((f'A={seeds[0]},{seeds[0]}',), 'is given twice'),
        ((f'A={seeds[0]},',), 'must be LABEL=WORK_DIR'),
        ((tmp_path,), 'must be LABEL=WORK_DIR'),
        ((f'A={tmp_path / "none"}',), 'no validation was logged there'),
        ((f'A={seeds[0]},{seeds[1]}',), 'was validated after epochs [3]'),
    ):
        done = run(*args)
        assert done.returncode == 2
        assert done.stderr.startswith('error: ')
        assert says in done.stderr
