"""What --epochs, --image-size and the like mean in a config."""

import math

import pytest

from mfdet.config_parts import image_side
from mfdet.engine.config import load_config
from mfdet.engine.settings import add_backend, set_early_stop, set_epochs, set_image_size
from mfdet.errors import InputError


def steps_of(config, split):
    return {step.type: step for step in config[f'{split}_dataloader'].dataset.pipeline}


@pytest.mark.parametrize(
    ('name', 'epochs', 'milestones'),
    [('retinanet_mf151m', 24, [16, 22]), ('e2e_mf151m', 30, [20]), ('e2e_mf151m', 1, [1])],
)
def test_epochs_move_the_milestones(name, epochs, milestones):
    config = load_config(name)
    set_epochs(config, epochs)
    assert config.train_cfg.max_epochs == epochs
    assert config.train_cfg.val_interval <= epochs
    schedule = config.param_scheduler[-1]
    assert (schedule.end, schedule.milestones) == (epochs, milestones)
    assert config.param_scheduler[0].get('end') in (500, epochs)  # a warm-up in iterations stays


def test_epochs_of_a_cosine():
    config = load_config('imagenet/mobile_former_151m')
    set_epochs(config, 90)
    assert config.param_scheduler[0].end == 1  # warm-up, of 5 in 450
    assert 'T_max' not in config.param_scheduler[1]  # it ends with the training by itself
    config.train_cfg.pop('max_epochs')
    with pytest.raises(InputError, match=r'--epochs: .*mobile_former_151m\.py trains by iterations'):
        set_epochs(config, 3)


def test_image_size_of_a_small_retinanet():
    config = load_config('small/retinanet_mf151m')
    set_image_size(config, 416)
    assert image_side(config) == 416
    train = steps_of(config, 'train')
    assert train['RandomResize'].scale == (416, 416)
    assert train['RandomResize'].ratio_range == (0.8, 1.25)
    assert train['RandomCrop'].crop_size == (416, 416)
    for split in ('val', 'test'):
        assert steps_of(config, split)['Resize'].scale == (416, 416)
    assert config.model.data_preprocessor.pad_size_divisor == 416


def test_image_size_of_the_recipe_of_detr():
    config = load_config('e2e_mf151m')
    set_image_size(config, 1344)
    assert steps_of(config, 'test')['Resize'].scale == (1344, round(800 * 1344 / 1333))
    alone, cropped = steps_of(config, 'train')['RandomChoice'].transforms
    assert alone[0].scales[-1] == (round(800 * 1344 / 1333), 1344)
    assert cropped[1].crop_size == (387, 605)
    assert config.model.data_preprocessor.pad_size_divisor == 32


def test_image_size_of_classifiers_and_of_generated_images():
    config = load_config('imagenet/mobile_former_151m')
    set_image_size(config, 160)
    assert steps_of(config, 'train')['RandomResizedCrop'].size == 160
    test = steps_of(config, 'test')
    assert test['mmcv.CenterCrop'].crop_size == 160
    assert test['mmcv.Resize'].scale == (10**9, round(256 * 160 / 224))
    config = load_config('shapes/retinanet_mf26m')
    set_image_size(config, 128)
    assert config.test_dataloader.dataset.image_size == (128, 128)


@pytest.mark.parametrize('side', [0, 32, 100])
def test_image_sizes_that_do_not_fit(side):
    with pytest.raises(InputError, match=f'multiple of 32 and at least 64, got {side}'):
        set_image_size(load_config('small/retinanet_mf151m'), side)


def test_a_missing_backend_is_named(monkeypatch):
    config = load_config('small/retinanet_mf151m')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(InputError, match='--wandb needs a package that is not installed: pip install wandb'):
        add_backend(config, 'wandb')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name)
    for _ in range(2):
        add_backend(config, 'tensorboard')
    assert [item.type for item in config.visualizer.vis_backends] == ['LocalVisBackend', 'TensorboardVisBackend']


class Hub:
    def __init__(self):
        self.runtime_info = {}
        self.stopped = False

    def update_info(self, key, value):
        self.runtime_info[key] = value


class Runner:
    def __init__(self, hub):
        self.message_hub = hub
        self.train_loop = type('Loop', (), dict(stop_training=False))()
        self.logger = type('Logger', (), dict(info=lambda *_: None))()


def make_hook():
    from mmengine.registry import HOOKS

    config = load_config('small/retinanet_mf151m')
    set_early_stop(config, 2)
    return HOOKS.build(config.custom_hooks[-1])


def validate(runner, hook, *scores):
    for score in scores:
        hook.after_val_epoch(runner, {'coco/bbox_mAP': score})


def test_training_ends_after_two_validations_without_a_better_one():
    runner, hook = Runner(Hub()), make_hook()
    hook.before_train(runner)
    assert hook.best_score == -math.inf
    validate(runner, hook, 0.1, 0.2, 0.15)
    assert not runner.train_loop.stop_training
    validate(runner, hook, 0.19)
    assert runner.train_loop.stop_training


def test_validations_that_are_all_alike_end_it_too():
    runner, hook = Runner(Hub()), make_hook()
    validate(runner, hook, 0.0, 0.0)
    assert not runner.train_loop.stop_training
    validate(runner, hook, 0.0)
    assert runner.train_loop.stop_training
    assert hook.best_score == 0


def test_early_stopping_needs_a_metric_and_data():
    for part in ('val_dataloader', 'default_hooks'):
        config = load_config('small/retinanet_mf151m')
        config.pop(part)
        with pytest.raises(InputError, match=r'--early-stop: .* must have validation data'):
            set_early_stop(config, 2)


def test_a_resumed_run_counts_on():
    runner, hook = Runner(Hub()), make_hook()
    hook.before_train(runner)
    validate(runner, hook, 0.2, 0.15)
    resumed, hook = Runner(runner.message_hub), make_hook()
    hook.before_train(resumed)
    validate(resumed, hook, 0.19)
    assert resumed.train_loop.stop_training
