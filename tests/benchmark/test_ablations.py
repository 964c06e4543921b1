import copy
import json
import signal
from pathlib import Path

import pytest
from class_folders import CONFIG, TINY, write_folders
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mfdet.benchmark import ablations
from mfdet.benchmark.ablations import VARIANTS, applicable, count_parameters, owner, varied, weigh
from mfdet.commands import benchmark
from mfdet.engine.config import load_config
from mfdet.errors import InputError

E2E = load_config('shapes/e2e_paper_mf26m')
DETECTORS = [name for name in VARIANTS if name.startswith('e2e')]


def test_training_aids_are_not_counted():
    init_default_scope('mmdet')
    plain, aided = copy.deepcopy(E2E.model), copy.deepcopy(E2E.model)
    aided.bbox_head.denoising = dict(box_noise_scale=0.4)
    count = sum(parameter.numel() for parameter in MODELS.build(copy.deepcopy(aided)).parameters())
    assert count_parameters(plain) == count_parameters(aided) < count
    assert 'denoising' in aided.bbox_head


def test_rows_stand_beside_the_figures_of_the_paper():
    mobile, wide, e2e = weigh(['mobile', 'width-320', 'e2e-queries-100'])
    assert mobile['paper params M'] == 6.1
    assert mobile['params %'] == pytest.approx(100 * (mobile['params M'] / 6.1 - 1))
    assert abs(mobile['params %']) < 1
    assert -3 < mobile['MAdds %'] < 0
    assert (wide['paper params M'], wide['paper MAdds M'], wide['MAdds %']) == (17.9, None, None)
    assert e2e['params M'] == pytest.approx(25.1, abs=0.05)  # of Table 9
    assert e2e['MAdds M'] == pytest.approx(24100, rel=0.002)
    assert set(mobile) == set(ablations.COLUMNS)


def test_rows_change_what_they_are_called_after():
    head = varied(E2E, VARIANTS['e2e-1-scale']).model.bbox_head
    assert (head.in_channels, head.channels, head.num_blocks) == ([96], [96], [5])
    two = varied(E2E, VARIANTS['e2e-2-scales']).model
    assert (two.bbox_head.in_channels, two.bbox_head.channels) == ([64, 96], [96, 64])
    assert (two.bbox_head.num_blocks, two.backbone.out_indices) == ([1, 4], [2, 3])
    assert E2E.model.bbox_head.num_blocks == [1, 2, 2]
    fitting, left_out = applicable(E2E, DETECTORS)
    assert list(fitting) == DETECTORS
    assert not left_out
    counts = {name: MODELS.build(copy.deepcopy(config.model)).bbox_head.num_queries for name, config in fitting.items()}
    assert counts['e2e-queries-50'] == 50
    assert counts['e2e'] == 25


def test_equal_rows_share_a_training():
    assert owner('e2e-queries-25', E2E) == 'e2e'
    assert owner('e2e-queries-50', E2E) == 'e2e-queries-50'
    config = load_config(CONFIG)  # 26M has three tokens 128 wide
    owners = {name: owner(name, config) for name in ('tokens-3', 'width-128', 'tokens-6', 'width-192')}
    assert owners == dict(zip(owners, ('dynamic-relu', 'dynamic-relu', 'tokens-6', 'width-192'), strict=True))


def test_rows_that_do_not_fit_say_why():
    config = varied(E2E, VARIANTS['e2e-2-scales'])
    fitting, left_out = applicable(config, ['mobile', 'e2e', 'e2e-1-scale', 'e2e-2-scales', 'e2e-blocks-6'])
    assert list(fitting) == ['e2e', 'e2e-1-scale']
    assert left_out['mobile'] == 'it varies classifiers'
    assert left_out['e2e-2-scales'] == 'its head reads 2 maps in all'
    assert 'num_blocks' in left_out['e2e-blocks-6']
    del config.model.bbox_head['num_blocks']
    _, left_out = applicable(config, ['e2e', 'e2e-1-scale'])
    assert left_out['e2e-1-scale'] == 'the config does not give the num_blocks of its MobileFormerHead'
    for name in ('shapes/e2e_plus_mf26m', 'shapes/retinanet_mf26m'):
        with pytest.raises(InputError, match='is neither a classifier nor E2E-MF'):
            applicable(load_config(name), ['e2e'])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Options of a table with trainings, which has been made once."""
    folder = tmp_path_factory.mktemp('ablations')
    data = write_folders(folder / 'data')
    options = ['ablations', '--train', CONFIG, '--data-root', data, '--out', folder / 'out', '--cfg-options', *TINY]
    options = [*map(str, options), '--epochs', '1', '--rows', 'tokens-3', 'e2e']
    assert benchmark.main([*options, '--seeds', '1']) == 0
    return options, folder / 'out'


def test_trainings_are_part_of_the_table(trained):
    _, out = trained
    report = json.loads((out / 'ablations.json').read_text())
    tokens, e2e = report['rows']
    work_dir = out / 'ablations' / 'mobile_former_26m'
    summary = json.loads((work_dir / 'dynamic-relu' / 'seed1' / 'summary.json').read_text())
    assert tokens['seed 1'] == tokens['best_top1 mean'] == summary['best_top1']
    assert tokens['range'] == 0
    assert tokens['trained params M'] < 3 < tokens['params M']  # 26M with two classes, beside 294M
    assert 'seed 1' not in e2e
    assert 'e2e is not trained: it varies E2E-MF.' in report['notes']
    assert (work_dir / 'dynamic-relu' / 'seed1' / 'epoch_1.pth').exists()
    assert not (work_dir / 'tokens-3').exists()
    assert '| variant | params M |' in (out / 'ablations.md').read_text()


def test_a_table_goes_on_where_it_stopped(trained, monkeypatch, capsys):
    options, out = trained
    called = []
    monkeypatch.setattr(ablations, 'weigh', lambda names, progress: [dict(variant=name) for name in names])

    def fail(words, log, threads):
        called.append(words)
        Path(log).write_text('loading\nerror: the disk is full\n')
        return 2

    monkeypatch.setattr(ablations, 'run_mfdet', fail)
    assert benchmark.main([*options, '--seeds', '1']) == 0
    assert not called
    assert benchmark.main([*options, '--seeds', '1', '0']) == 2
    error = capsys.readouterr().err
    assert 'dynamic-relu with seed 0: the training ended with exit code 2: the disk is full (' in error
    (words,) = called
    assert words[words.index('--resume') + 1] == 'auto'
    assert words[words.index('--work-dir') + 1].endswith('dynamic-relu/seed0')
    assert words[-2] == '--data-root'
    config = load_config(words[1])
    assert (config.randomness.seed, config.train_cfg.max_epochs) == (0, 1)
    report = json.loads((out / 'ablations.json').read_text())
    assert 'seed 1' in report['rows'][0], 'the table before is kept'


def test_who_stops_the_table_stops_its_training_in_order(tmp_path, monkeypatch):
    script = tmp_path / 'python'
    script.write_text('#!/bin/sh\ntrap "echo saved; exit 143" TERM\nkill -TERM $PPID\nwhile :; do sleep 0.05; done\n')
    script.chmod(0o700)
    monkeypatch.setattr(ablations.sys, 'executable', str(script))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        ablations.run_mfdet(['train'], tmp_path / 'log', 1)
    assert (tmp_path / 'log').read_text() == 'saved\n'
    assert signal.getsignal(signal.SIGTERM) == before


def test_trainings_of_other_settings_are_not_taken_for_these(trained, capsys):
    options, _ = trained
    assert benchmark.main([*options, '--seeds', '1', '--epochs', '2']) == 2
    assert 'holds a training of other settings than these' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (['--rows', 'tokens-7'], '--rows tokens-7: the rows are mobile, former'),
        (['--epochs', '1'], 'name its config with --train'),
        (['--data-root', 'x'], 'name its config with --train'),
        (['--train', CONFIG, '--seeds', '1', '1'], '--seeds must be different numbers from 0 up, got 1 1'),
        (['--train', CONFIG, '--epochs', '0'], '--epochs must be at least 1, got 0'),
        (['--train', CONFIG, '--rows', 'e2e'], 'e2e is not trained: it varies E2E-MF'),
        (['--train', 'shapes/retinanet_mf26m'], 'is neither a classifier nor E2E-MF'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(options, says, capsys, tmp_path):
    assert benchmark.main(['ablations', '--out', str(tmp_path), *options]) == 2
    assert says in capsys.readouterr().err
