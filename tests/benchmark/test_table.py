"""tools/benchmark.py table: ours beside what others publish, and runs of one's own."""

import json

import pytest

from mfdet.benchmark.published import DETECTORS
from mfdet.benchmark.table import family_of, row_of
from mfdet.commands import benchmark
from mfdet.engine.config import load_config
from mfdet.engine.find_config import shipped_configs


def make_run(folder, ap=0.4157):
    folder.mkdir()
    config = load_config('configs/cpu/retinanet_mf26m.py')
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset.update(data_root='photos/cells', ann_file='instances_val.json')
    config.dump(folder / 'retinanet_mf26m.py')
    (folder / 'summary.json').write_text(json.dumps(dict(best_ap=ap)))
    return folder


def test_every_figure_has_a_source_and_a_known_config():
    assert len({entry.name for entry in DETECTORS}) == len(DETECTORS)
    for entry in DETECTORS:
        assert entry.source
        assert entry.flops is None or entry.flops == pytest.approx(2 * entry.madds)
        assert entry.config is None or entry.config in shipped_configs()
    assert {name for name in shipped_configs() if name.startswith('peers/')} <= {entry.config for entry in DETECTORS}


def test_ours_cost_what_is_published():
    row = row_of(next(entry for entry in DETECTORS if entry.name == 'E2E-MF-151M'))
    assert row['params M'] == pytest.approx(row['published '], rel=0.01)
    assert row['difference %'] == pytest.approx(100 * (row['MAdds G'] / 12.7 - 1))
    assert abs(row['difference %']) < 2


def test_another_size_is_not_compared_with_the_published_one():
    entry = next(entry for entry in DETECTORS if entry.name == 'E2E-MF-151M')
    row = row_of(entry, (320, 320))
    assert row['size'] == '320×320'
    assert row['MAdds G'] < 2
    assert row['published'] is None
    assert 'difference %' not in row


def test_families():
    assert family_of('RetinaNet, Mobile-Former-508M') == 'RetinaNet, Mobile-Former'
    assert family_of('RetinaNet, ResNet-50') == 'RetinaNet'
    assert family_of('YOLO11n') == ''


def test_table_with_a_run_of_ones_own(tmp_path, capsys):
    run = make_run(tmp_path / 'run')
    code = benchmark.main(
        ['table', '--models', 'E2E-MF-151M', 'YOLO11n', '--ap', str(run), '--out', str(tmp_path / 'out')]
    )
    text = capsys.readouterr().out
    assert code == 0
    rows = json.loads((tmp_path / 'out' / 'table.json').read_text())['rows']
    assert [row['detector'] for row in rows] == ['E2E-MF-151M', 'YOLO11n', 'retinanet_mf26m']
    assert rows[2]['AP here'] == pytest.approx(41.57)
    assert rows[2]['data'] == 'cells/instances_val.json'
    assert rows[2]['size'] == '192×192'
    assert 'MAdds G' not in rows[1]  # nothing is measured that is not here
    assert (rows[1]['published'], rows[1]['flops as published']) == (3.25, 6.5)
    assert '- [2] https://github.com/ultralytics/ultralytics' in text
    assert (tmp_path / 'out' / 'table.png').stat().st_size > 0


def test_latency_of_those_with_a_config(tmp_path):
    names = ['SSDLite, MobileViT-XXS', 'YOLO11n']
    options = ['--latency', '--runtimes', 'eager', '--clock', 'cpu', '--repeats', '1', '--shape', '64', '64']
    assert benchmark.main(['table', '--models', *names, *options, '--out', str(tmp_path)]) == 0
    ours, other = json.loads((tmp_path / 'table.json').read_text())['rows']
    assert ours['ms'] > 0
    assert ours['runtime'] == 'eager'
    assert 'ms' not in other
    assert (tmp_path / 'table.png').stat().st_size > 0


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--models', 'YOLO12'], '--models YOLO12: the table has RetinaNet, Mobile-Former-151M; '),
        (['--ap', '{}'], 'summary.json: cannot be read: No such file'),
        (['--shape', '16', '16'], 'sizes are in pixels and at least 32, got 16'),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, args, message):
    code = benchmark.main(['table', *(arg.format(tmp_path) for arg in args), '--out', str(tmp_path / 'out')])
    assert code == 2
    assert message in capsys.readouterr().err


def test_a_run_without_validation_or_config_is_refused(tmp_path, capsys):
    run = make_run(tmp_path / 'run', ap=None)
    assert benchmark.main(['table', '--ap', str(run), '--out', str(tmp_path / 'out')]) == 2
    assert 'has no best_ap: the run has not been validated' in capsys.readouterr().err
    run = make_run(tmp_path / 'other')
    (run / 'retinanet_mf26m.py').unlink()
    assert benchmark.main(['table', '--ap', str(run), '--out', str(tmp_path / 'out')]) == 2
    assert 'must hold the config of its run' in capsys.readouterr().err
