import itertools

import pytest
from mmengine.dataset import DefaultSampler

from mfdet.data.sampling import ResumableBatchSampler


class Images:
    """Images of which every third is upright."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def get_data_info(self, index):
        return dict(width=1 if index % 3 == 0 else 3, height=2)


def batches(count, processes, batch_size, skip=0):
    """The batches of each process."""
    found = []
    for rank in range(processes):
        sampler = DefaultSampler(Images(count), seed=5)
        sampler.rank, sampler.world_size = rank, processes
        sampler.num_samples = -(-count // processes)
        sampler.total_size = sampler.num_samples * processes
        batch_sampler = ResumableBatchSampler(sampler, batch_size)
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


def test_an_odd_number_of_images_is_rounded_up():
    first, second = batches(7, 2, 2)
    assert [len(batch) for batch in first] == [len(batch) for batch in second] == [2, 2]
    assert set(itertools.chain(*first, *second)) == set(range(7))


@pytest.mark.parametrize('processes', [1, 2])
def test_a_pass_can_start_in_the_middle(processes):
    whole = batches(24, processes, 2)
    assert batches(24, processes, 2, skip=3) == [found[3:] for found in whole]
