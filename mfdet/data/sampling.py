"""Batches and augmentation that depend on seed, epoch and image alone, so that a run can go on from the middle."""

import contextlib
import copy
import functools
import itertools
import random
import signal

import numpy as np
import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler

from mfdet.compat import quiet

with quiet():
    from mmdet.datasets.samplers import AspectRatioBatchSampler


class SeededIndex(int):
    """Index of an image in a data set, with the random seed of its augmentation."""

    def __new__(cls, index, seed):
        """Make an index that carries a seed."""
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    def __reduce__(self):
        """Keep the seed on the way to a worker process."""
        return SeededIndex, (int(self), self.seed)


def seed_of(*numbers):
    """Return a seed below 2**32 that depends on all of the numbers, whole and from 0 up."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def set_random_seed(seed):
    """Seed Python's, NumPy's and torch's random numbers."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # of the CPU and of GPUs


@contextlib.contextmanager
def random_state(seed):
    """Seed the CPU's random numbers for the block, and put them back as they were after it; None changes nothing."""
    if seed is None:
        yield
        return
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@functools.cache
def _spare_worker():
    """Let a worker of the training live on for 30 seconds after its first SIGTERM: the training ends in order."""

    def spare(number, frame):
        signal.signal(number, signal.SIG_DFL)
        signal.alarm(30)

    signal.signal(signal.SIGTERM, spare)


def seeded_item(get, index):
    """Return ``get(index)``, drawn with the seed of the index if it is a :class:`SeededIndex`."""
    if isinstance(index, SeededIndex) and torch.utils.data.get_worker_info() is not None:
        _spare_worker()
    with random_state(getattr(index, 'seed', None)):
        return get(int(index))


class SeededItems:
    """For data sets: an item asked for by a :class:`SeededIndex` is augmented with its seed, in whichever process."""

    def __getitem__(self, index):
        """Return the item at an index."""
        return seeded_item(super().__getitem__, index)


def seed_items(dataset, num_workers):
    """Give any data set, such as mmengine's ConcatDataset or RepeatDataset, what :class:`SeededItems` gives, in place.

    Args:
        dataset: the data set.
        num_workers: of its loader.

    Returns:
        bool: False, and nothing is changed, if workers are no forks, since they could not import the class made here.
    """
    kind = type(dataset)
    if not issubclass(kind, SeededItems):
        if num_workers and torch.multiprocessing.get_start_method() != 'fork':
            return False

        def getitem(self, index):
            return seeded_item(functools.partial(kind.__getitem__, self), index)

        dataset.__class__ = type(f'Seeded{kind.__name__}', (kind,), dict(__getitem__=getitem))
    return True


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler(AspectRatioBatchSampler):
    """mmdet's batches of images of one orientation, seeded, and able to leave out those already seen of an epoch.

    With mmengine's DefaultSampler, several processes share batches: together they get what one process with the sum of
    their batch sizes would, so that a run can also go on with another number of them.

    Args:
        sampler: gives the indices of an epoch.
        batch_size: images of a batch, of each process.
        drop_last: leave out a last batch that is not full.
        by_orientation: False takes images as they come, for data whose images all get one size.

    Attributes:
        skip: number of batches to leave out of the next pass; it is 0 again afterwards.
    """

    skip = 0

    def __init__(self, sampler, batch_size, drop_last=False, by_orientation=True):
        super().__init__(sampler, batch_size, drop_last)
        self.batches = AspectRatioBatchSampler if by_orientation else BatchSampler

    def __iter__(self):
        """Return the batches, lists of :class:`SeededIndex`."""
        skip, self.skip = self.skip, 0
        base, epoch = getattr(self.sampler, 'seed', 0) or 0, getattr(self.sampler, 'epoch', 0)
        sampler, rank, processes = self.sampler, 0, 1
        if type(sampler) is DefaultSampler:  # others divide their images among processes in ways of their own
            rank, processes, sampler = sampler.rank, sampler.world_size, copy.copy(sampler)
            sampler.rank, sampler.world_size, sampler.num_samples = 0, 1, sampler.total_size
        batches = self.batches(sampler, self.batch_size * processes, self.drop_last)
        for batch in itertools.islice(batches, skip, None):
            yield [SeededIndex(index, seed_of(base, epoch, index)) for index in batch[rank::processes]]
