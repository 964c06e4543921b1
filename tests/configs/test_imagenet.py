"""The recipes of the paper for ImageNet."""

from pathlib import Path

import pytest

from mfdet.engine.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
RECIPES = {  # top-1 in the paper, rate, weight decay, dropout, mixup, RandAugment, random erasing
    '26m': (64.0, 8e-4, 0.08, 0.1, 0.2, True, False),
    '52m': (68.7, 8e-4, 0.10, 0.2, 0.2, False, False),
    '96m': (72.8, 8e-4, 0.10, 0.2, 0.0, True, False),
    '151m': (75.2, 9e-4, 0.10, 0.2, 0.2, True, True),
    '214m': (76.7, 9e-4, 0.15, 0.2, 0.2, True, True),
    '294m': (77.9, 1e-3, 0.20, 0.3, 0.2, True, True),
    '508m': (79.3, 1e-3, 0.20, 0.3, 0.2, True, True),
}


def test_each_variant_has_a_recipe():
    assert {path.stem for path in CONFIGS.glob('imagenet/*.py')} == {f'mobile_former_{arch}' for arch in RECIPES}


@pytest.mark.parametrize('arch', RECIPES)
def test_recipe_is_that_of_the_paper(arch):
    path = CONFIGS / 'imagenet' / f'mobile_former_{arch}.py'
    config = load_config(str(path))
    top1, rate, decay, dropout, mixup, augments, erases = RECIPES[arch]
    head = [line for line in path.read_text().splitlines() if line.startswith('#')]
    assert f'{top1} %' in ' '.join(head)
    assert head[-1].endswith(f'tools/train.py configs/imagenet/mobile_former_{arch}.py --data-root imagenet')
    assert len(path.read_text().splitlines()) <= 15
    assert config.model.arch == arch
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', rate, decay)
    assert (config.model.dropout, config.model.mixup, config.model.label_smoothing) == (dropout, mixup, 0.1)
    steps = {step['type']: step for step in config.train_dataloader.dataset.pipeline}
    assert ('MfdetRandAugment' in steps, 'MfdetRandomErasing' in steps) == (augments, erases)
    assert not augments or (steps['MfdetRandAugment'].magnitude, steps['MfdetRandAugment'].magnitude_std) == (9, 0.5)
    assert not erases or steps['MfdetRandomErasing'].probability == 0.2
    assert config.train_cfg.max_epochs == 450
    assert 8 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 1024
    assert [schedule.type for schedule in config.param_scheduler] == ['LinearLR', 'CosineAnnealingLR']
    assert config.default_hooks.checkpoint.save_best == 'accuracy/top1'
