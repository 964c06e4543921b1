"""Settings that people change most, by plain numbers: what they mean in a config."""

import importlib.util
import math

from mmengine.hooks import EarlyStoppingHook
from mmengine.registry import HOOKS

from mfdet.config_parts import dataset_of, image_side
from mfdet.errors import InputError

SIZES = ('scale', 'scales', 'crop_size', 'size', 'least_side')  # options of pipeline steps that are lengths in pixels
UNBOUNDED = 10**6  # from here on a length is no length but no limit
BACKENDS = dict(tensorboard=('TensorboardVisBackend', 'tensorboard'), wandb=('WandbVisBackend', 'wandb'))


def set_epochs(config, epochs):
    """Train for another number of epochs; the schedule keeps its shape.

    Epochs at which rates change move in proportion; warm-ups in iterations stay; validation comes at least once.

    Args:
        config: the config, changed in place.
        epochs: at least 1.

    Raises:
        InputError: a training by iterations, which has no epochs.
    """
    train_cfg = config.train_cfg
    before = train_cfg.get('max_epochs')
    if before is None:
        raise InputError(f'--epochs: {config.filename} trains by iterations; set train_cfg.max_iters by --cfg-options')
    share = epochs / before
    for schedule in config.get('param_scheduler') or []:
        if not schedule.get('by_epoch', True):
            continue
        if 'milestones' in schedule:
            schedule.milestones = [max(1, round(share * epoch)) for epoch in schedule.milestones]
        for key in ('begin', 'end', 'T_max'):
            if schedule.get(key):
                schedule[key] = max(1, round(share * schedule[key]))
    train_cfg.max_epochs = epochs
    train_cfg.val_interval = min(train_cfg.get('val_interval', 1), epochs)


def set_batch_size(config, batch_size):
    """Let each process take this many images a step; the rate stays, see ``--auto-scale-lr``."""
    config.train_dataloader.batch_size = batch_size


def _scaled(value, factor):
    """Multiply the lengths in a value, at any depth of lists and tuples."""
    if isinstance(value, (list, tuple)):
        return type(value)(_scaled(item, factor) for item in value)
    return value if value >= UNBOUNDED else round(value * factor)


def _scale_steps(steps, factor):
    for step in steps:
        for key, value in step.items():
            if key in SIZES:
                step[key] = _scaled(value, factor)
        for nested in step.get('transforms', ()):
            _scale_steps(nested if isinstance(nested, (list, tuple)) else [nested], factor)


def set_image_size(config, side):
    """Train and test with images of another size: all lengths of the pipelines change in proportion.

    Args:
        config: the config, changed in place.
        side: longer side in pixels; of a classifier, the side of its crops. A multiple of 32.

    Raises:
        InputError: it is no multiple of 32 of at least 64, or the config does not resize images.
    """
    if side < 64 or side % 32:
        raise InputError(f'--image-size must be a multiple of 32 and at least 64, got {side}')
    generated = [dataset_of(config[key]) for key in ('train_dataloader', 'val_dataloader') if config.get(key)]
    if all('image_size' in dataset for dataset in generated):
        for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if config.get(key):
                dataset_of(config[key]).image_size = (side, side)
        return
    before = image_side(config)
    if before is None:
        raise InputError(f'--image-size: {config.filename} does not resize images; change its pipelines')
    # The two loaders of validation and testing may share a pipeline, which is to change once.
    pipelines = {
        id(pipeline): pipeline
        for key in ('train_dataloader', 'val_dataloader', 'test_dataloader')
        if config.get(key)
        for pipeline in [dataset_of(config[key]).pipeline]
    }
    for pipeline in pipelines.values():
        _scale_steps(pipeline, side / before)
    preprocessor = config.model.get('data_preprocessor') or {}
    if preprocessor.get('pad_size_divisor') == before:  # images padded to the squares that they are trained on
        preprocessor.pad_size_divisor = side


def set_early_stop(config, patience):
    """End a training after this many validations without a better one.

    Raises:
        InputError: the config does not validate, or does not say by which metric a checkpoint is the best.
    """
    monitor = config.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
    if not config.get('val_dataloader') or not isinstance(monitor, str) or monitor == 'auto':
        raise InputError(
            f'--early-stop: {config.filename} must have validation data, and the metric to go by as '
            'default_hooks.checkpoint.save_best'
        )
    config.custom_hooks = [
        *config.get('custom_hooks', []),
        dict(type='ResumableEarlyStoppingHook', monitor=monitor, patience=patience),
    ]


def add_backend(config, name):
    """Log to ``'tensorboard'`` or ``'wandb'`` as well.

    Raises:
        InputError: its package is not installed.
    """
    backend, package = BACKENDS[name]
    if importlib.util.find_spec(package) is None:
        raise InputError(f'--{name} needs a package that is not installed: pip install {package}')
    if all(item.type != backend for item in config.visualizer.vis_backends):
        config.visualizer.vis_backends = [*config.visualizer.vis_backends, dict(type=backend)]


@HOOKS.register_module()
class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """mmengine's EarlyStoppingHook, with its counts in the checkpoint, so that a resumed run ends where it would have.

    Args:
        monitor: metric, the larger the better.
        patience: validations without a better one after which training ends.
        others: of mmengine's.
    """

    KEY = 'early_stopping'

    def __init__(self, monitor, patience, **others):
        super().__init__(monitor, rule='greater', min_delta=0.0, patience=patience, **others)

    def _check_stop_condition(self, current_score):
        """As mmengine's, but a validation that is as good as the best is no better one."""
        if current_score == self.best_score:
            current_score = math.nextafter(current_score, -math.inf)
        return super()._check_stop_condition(current_score)

    def before_train(self, runner):
        """Take up the counts of the run that goes on."""
        self.best_score, self.wait_count = runner.message_hub.runtime_info.get(
            self.KEY, (self.best_score, self.wait_count)
        )

    def after_val_epoch(self, runner, metrics):
        """Count, stop if it is time, and keep the counts for the next checkpoint."""
        super().after_val_epoch(runner, metrics)
        if runner.train_loop.stop_training:
            runner.logger.info(f'Stops early: the last {self.wait_count} validations were no better than the best')
        runner.message_hub.update_info(self.KEY, [self.best_score, self.wait_count])
