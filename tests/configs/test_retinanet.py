"""Table 8 of the paper: RetinaNet on Mobile-Former at 800×1333."""

import json
from pathlib import Path

import pytest

from mfdet.commands.get_flops import main

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    ('arch', 'params', 'madds', 'backbone_params', 'backbone_madds'),
    [
        ('151m', 14.4, 161, 4.9, 2.6),
        ('214m', 15.2, 162, 5.7, 3.9),
        ('294m', 16.1, 164, 6.5, 5.5),
        ('508m', 17.9, 168, 8.4, 9.8),
    ],
)
def test_cost_is_that_of_table_8(capsys, arch, params, madds, backbone_params, backbone_madds):
    assert main([str(CONFIGS / f'retinanet_mf{arch}.py'), '--shape', '800', '1333', '--json']) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost['params'] / 1e6 == pytest.approx(params, rel=0.005)
    assert cost['madds'] / 1e9 == pytest.approx(madds, rel=0.02)
    # The paper cuts the backbone's parameters to one decimal (6.58 M stands as 6.5).
    assert cost['backbone_params'] / 1e6 == pytest.approx(backbone_params + 0.05, abs=0.05)
    assert cost['backbone_madds'] / 1e9 == pytest.approx(backbone_madds, rel=0.02)


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('retinanet_*.py')), ids=lambda path: path.stem)
def test_configs_stay_short(path):
    assert len(path.read_text().splitlines()) <= 25


def test_table_for_people_and_bad_shape(capsys):
    config = str(CONFIGS / 'shapes' / 'retinanet_mf26m.py')
    assert main([config, '--shape', '128', '128']) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: [float(value) for value in line.split()[1:]] for line in lines[3:]}
    assert set(rows) == {'backbone', 'neck', 'bbox_head', 'total'}
    for column in range(2):
        assert sum(row[column] for name, row in rows.items() if name != 'total') == pytest.approx(
            rows['total'][column], abs=0.002
        )
    assert main([config, '--shape', '0', '128']) == 2
    assert '--shape' in capsys.readouterr().err
