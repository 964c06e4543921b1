from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*/*_finetune.py')), ids=lambda path: path.stem)
def test_it_takes_what_the_config_beside_it_has_trained(path):
    config, before = (Config.fromfile(str(p)) for p in (path, path.with_stem(path.stem.removesuffix('_finetune'))))
    assert config.model == before.model
    assert config.train_dataloader == before.train_dataloader
    assert config.train_cfg.max_epochs < before.train_cfg.max_epochs
    assert config.optim_wrapper == before.optim_wrapper  # smaller rates lose, see docs/results.md
    assert 'PowerEMAHook' in [hook.type for hook in config.custom_hooks]
    assert f'configs/{path.parent.name}/{path.name} --load-from' in path.read_text()
