import itertools
import random

import numpy as np
import pytest
import torch
from mmdet.datasets.samplers import ClassAwareSampler
from mmengine.dataset import BaseDataset, DefaultSampler, RepeatDataset

from mfdet.data.sampling import ResumableBatchSampler, SeededIndex, seed_items


class Images:
    """Images of which every third is upright."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def get_data_info(self, index):
        return dict(width=1 if index % 3 == 0 else 3, height=2)


def batches(count, processes, batch_size, skip=0, **options):
    """The batches of each process."""
    found = []
    for rank in range(processes):
        sampler = DefaultSampler(Images(count), seed=5)
        sampler.rank, sampler.world_size = rank, processes
        sampler.num_samples = -(-count // processes)
        sampler.total_size = sampler.num_samples * processes
        batch_sampler = ResumableBatchSampler(sampler, batch_size, **options)
        batch_sampler.skip = skip
        found.append(list(batch_sampler))
        assert len(found[-1]) == len(batch_sampler) - skip
        assert batch_sampler.skip == 0
    return found


@pytest.mark.parametrize('count', [12, 22, 36])
@pytest.mark.parametrize('processes', [2, 3])
def test_processes_share_the_batches_of_one(count, processes):
    if count % processes:
        pytest.skip('one process has no image twice')
    [alone] = batches(count, 1, 2 * processes)
    shared = batches(count, processes, 2)
    for whole, *parts in zip(alone, *shared, strict=True):
        assert sorted(whole) == sorted(itertools.chain(*parts))
        assert len({len(part) for part in parts}) == 1
        seeds = {int(index): index.seed for index in whole}
        assert all(seeds[int(index)] == index.seed for part in parts for index in part)


def test_batches_are_of_one_orientation_while_there_are_enough():
    [found] = batches(36, 1, 4)
    assert all(len({index % 3 == 0 for index in batch}) == 1 for batch in found)
    assert sorted(itertools.chain(*found)) == list(range(36))


def test_images_of_one_size_come_in_the_order_of_the_sampler(monkeypatch):
    monkeypatch.setattr(Images, 'get_data_info', lambda self, index: pytest.fail('reads what it does not need'))
    [found] = batches(36, 1, 4, by_orientation=False)
    order = list(DefaultSampler(Images(36), seed=5))
    assert found == [order[i : i + 4] for i in range(0, 36, 4)]
    shared = batches(36, 2, 2, by_orientation=False)
    assert [sorted(itertools.chain(*parts)) for parts in zip(*shared, strict=True)] == [sorted(b) for b in found]


def test_a_batch_that_is_not_full_can_be_left_out():
    [found] = batches(14, 1, 4, by_orientation=False, drop_last=True)
    assert [len(batch) for batch in found] == [4, 4, 4]
    first, second = batches(14, 2, 2, by_orientation=False, drop_last=True)
    assert [len(batch) for batch in first + second] == [2] * 6


def test_an_odd_number_of_images_is_rounded_up():
    first, second = batches(7, 2, 2)
    assert [len(batch) for batch in first] == [len(batch) for batch in second] == [2, 2]
    assert set(itertools.chain(*first, *second)) == set(range(7))


def test_other_samplers_divide_their_images_themselves(monkeypatch):
    monkeypatch.setattr('mmdet.datasets.samplers.class_aware_sampler.get_dist_info', lambda: (1, 2))
    images = Images(16)
    images.metainfo = dict(classes=('a', 'b'))
    images.get_cat_ids = lambda index: [index % 2]
    sampler = ClassAwareSampler(images, seed=3)
    found = list(ResumableBatchSampler(sampler, 2))
    assert len(found) == 4
    assert sorted(index for batch in found for index in batch) == sorted(sampler)


@pytest.mark.parametrize('processes', [1, 2])
def test_a_pass_can_start_in_the_middle(processes):
    whole = batches(24, processes, 2)
    assert batches(24, processes, 2, skip=3) == [found[3:] for found in whole]


class Noise(BaseDataset):
    """Images drawn by chance."""

    def __init__(self):
        super().__init__(lazy_init=True)

    def full_init(self):
        pass

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.parametrize('wrap', [lambda data: data, lambda data: RepeatDataset(data, 2)])
def test_any_data_set_draws_by_the_seed_of_the_index(wrap):
    dataset = wrap(Noise())
    assert seed_items(dataset, 0)
    assert type(dataset).__name__.startswith('Seeded')
    first = dataset[SeededIndex(2, 7)]
    assert dataset[SeededIndex(2, 8)] != first
    random.seed(5)
    assert dataset[SeededIndex(2, 7)] == first
    drawn = random.random()
    random.seed(5)
    assert random.random() == drawn  # what is drawn elsewhere is not touched


def test_workers_that_are_no_forks_keep_the_class_they_can_import(monkeypatch):
    monkeypatch.setattr(torch.multiprocessing, 'get_start_method', lambda: 'spawn')
    dataset = Noise()
    assert not seed_items(dataset, 1)
    assert type(dataset) is Noise
