import types

import pytest
import torch
from torch import nn

from mfdet.engine.ema import PowerEMA, PowerEMAHook


def test_the_average_is_that_of_the_power_function():
    """After T steps the weights of step t count as t^γ, up to terms of the order of 1 / T."""
    model = nn.Linear(1, 1, bias=False)
    average = PowerEMA(model, gamma=3.0)
    steps = 2000
    for step in range(1, steps + 1):
        model.weight.data.fill_(step / steps)
        average.update_parameters(model)
    shares = (torch.arange(1, steps + 1) / steps).double()
    expected = (shares * shares**3).sum() / (shares**3).sum()
    assert average.module.weight.item() == pytest.approx(expected.item(), abs=2e-3)


def test_the_random_start_is_forgotten():
    model = nn.Linear(2, 2)
    average = PowerEMA(model)
    start = model.weight.detach().clone()
    for _ in range(3):
        model.weight.data += 1
        average.update_parameters(model)
    torch.testing.assert_close(average.module.weight, start + 3)


def test_statistics_of_batch_norm_are_averaged_and_counters_kept():
    model = nn.BatchNorm1d(2)
    average = PowerEMA(model, gamma=1.0)
    for value in range(10):
        model.running_mean.fill_(value)
        model.num_batches_tracked.fill_(value)
        average.update_parameters(model)
    assert 4 < average.module.running_mean[0] < 8
    assert average.module.num_batches_tracked.dtype == torch.long


@pytest.mark.parametrize('in_validation', [False, True])
def test_checkpoints_hold_the_averages_and_beside_them_the_weights_of_the_run(in_validation):
    model = nn.Linear(2, 2)
    hook, runner = PowerEMAHook(gamma=1.0), types.SimpleNamespace(model=model, iter=0)
    hook.before_run(runner)
    for _ in range(5):
        model.weight.data += 1
        hook.after_train_iter(runner, 0)
    own, average = model.weight.detach().clone(), hook.ema_model.module.weight.clone()
    assert not own.equal(average)
    if in_validation:
        hook.before_val_epoch(runner)
        assert model.weight.equal(average)
    checkpoint = dict(state_dict=dict(model.state_dict()))
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint['state_dict']['weight'].equal(average)
    assert checkpoint['ema_state_dict']['module.weight'].equal(own)
    if in_validation:
        hook.after_val_epoch(runner)
    assert model.weight.equal(own)
