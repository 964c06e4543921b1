"""Which kind of model a config is of."""

from mfdet.commands import _classification, _detection
from mfdet.errors import InputError


def task_of(config, split):
    """Return the module that prepares training and testing of a config's kind of model.

    Args:
        config: of :func:`mfdet.engine.config.load_config`.
        split: the data it must have, ``'train'`` or ``'test'``.

    Raises:
        InputError: the config is neither of a detector nor of a classifier, or has no such data.
    """
    tasks = [task for task in (_detection, _classification) if task.takes(config.model)]
    if not tasks or not config.get(f'{split}_dataloader'):
        raise InputError(
            f'{config.filename} is no config of a detector or classifier with {split} data; take one such as '
            'configs/retinanet_mf508m.py'
        )
    return tasks[0]
