"""Table 9 of the paper: E2E-MF at 800×1333."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mfdet.commands.get_flops import main

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    ('arch', 'params', 'madds'),
    [('151m', 14.8, 12.7), ('214m', 20.1, 17.8), ('294m', 25.1, 24.1), ('508m', 26.6, 41.4)],
)
def test_cost_is_that_of_table_9(capsys, arch, params, madds):
    assert main([str(CONFIGS / f'e2e_mf{arch}.py'), '--shape', '800', '1333', '--json']) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost['params'] / 1e6 == pytest.approx(params, rel=0.01)
    assert cost['madds'] / 1e9 == pytest.approx(madds, rel=0.02)


@pytest.mark.parametrize('arch', ['151m', '214m', '294m', '508m'])
def test_the_plus_family_costs_up_to_two_fifths_more(capsys, arch):
    costs = []
    for family in ('e2e', 'e2e_plus'):
        assert main([str(CONFIGS / f'{family}_mf{arch}.py'), '--shape', '800', '1333', '--json']) == 0
        costs.append(json.loads(capsys.readouterr().out))
    paper, plus = costs
    assert 1 < plus['madds'] / paper['madds'] < 1.4
    assert plus['params'] == pytest.approx(paper['params'], rel=0.02)


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('e2e_mf*m.py')), ids=lambda path: path.stem)
def test_configs_are_short_and_follow_the_recipe(path):
    assert len(path.read_text().splitlines()) <= 30
    config = Config.fromfile(path)
    head = config.model.bbox_head
    assert (head.num_classes, head.num_queries, head.num_blocks) == (80, 100, [5, 2, 2])
    assert config.model.backbone.spatial_aware_dyrelu
    assert config.train_cfg.max_epochs == 300
    optimizer = config.optim_wrapper
    assert optimizer.optimizer == dict(type='AdamW', lr=1e-4, weight_decay=1e-4)
    assert optimizer.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1
    assert optimizer.clip_grad.max_norm == 0.1
    assert config.param_scheduler[-1].milestones == [200]


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('e2e_mf*_fast.py')), ids=lambda path: path.stem)
def test_the_fast_ones_are_the_same_graph_in_50_epochs(path):
    fast, paper = (Config.fromfile(p) for p in (path, path.with_stem(path.stem.removesuffix('_fast'))))
    assert fast.model.bbox_head.loss_cls.type == 'MatchabilityAwareLoss'
    for part in ('loss_cls', 'matcher'):
        fast.model.bbox_head[part] = paper.model.bbox_head[part]
    assert fast.model == paper.model
    assert fast.train_cfg.max_epochs == 50
    assert 'PowerEMAHook' in [hook.type for hook in fast.custom_hooks]
    assert 'no AP is known' in path.read_text()


def test_the_short_schedule_drops_the_rate_for_its_last_third():
    config = Config.fromfile(CONFIGS / '_base_' / 'schedules' / 'e2e_50e.py')
    assert config.train_cfg.max_epochs == 50
    assert config.param_scheduler[-1].milestones == [33]
    assert config.optim_wrapper.optimizer.lr == 1e-4


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('*/e2e_plus_*.py')), ids=lambda path: f'{path.parent.name}-{path.stem}'
)
def test_the_plus_family_for_little_data_averages_its_weights(path):
    config = Config.fromfile(path)
    assert config.model.bbox_head.type == 'MobileFormerPlusHead'
    assert [hook.type for hook in config.custom_hooks] == ['PlainCheckpointHook', 'ReportHook', 'PowerEMAHook']
    assert config.optim_wrapper.clip_grad.max_norm == 10
