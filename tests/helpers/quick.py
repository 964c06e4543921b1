"""Options that make training and testing a matter of seconds, and what holds on a CPU alone."""

import pytest
import torch

SAME_BITS = pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU adds up in any order, to other bits each time')

QUICK = [
    *(
        f'{split}_dataloader.{option}'
        for split in ('train', 'val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False')
    ),
    'train_dataloader.batch_size=2',
    'train_cfg.val_interval=1',
    'default_hooks.logger.interval=1',
]


def lengths(train, val):
    """Return options for the numbers of generated images."""
    counts = dict(train=train, val=val, test=val)
    return [f'{split}_dataloader.dataset.length={count}' for split, count in counts.items()]
