from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

import mfdet.register  # noqa: F401
from mfdet.complexity import count_complexity, count_model
from mfdet.layers import DynamicReLU

CONFIGS = Path(__file__).parents[1] / 'configs'


class Activation(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = DynamicReLU(8, 4)

    def forward(self, x):
        return self.relu(x, torch.zeros(1, 1, 4, device=x.device))


class Toy(nn.Module):
    """A convolution called by its ``forward``, a dynamic ReLU called as a module, and a part that is not used."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.activation = Activation()
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.activation(self.conv.forward(x))


def test_counts_by_hand():
    cost = count_complexity(Toy(), (5, 7))
    conv = 5 * 7 * 3 * 8 * 9
    relu = 2 * 5 * 7 * 8 + 4 * 1 + 1 * 16
    assert cost.parts['conv'] == (3 * 8 * 9 + 8, conv)
    assert cost.parts['activation'] == ((4 + 1) * 1 + (1 + 1) * 16, relu)
    assert cost.parts['unused'] == (6, 0)
    assert cost.madds == conv + relu
    assert cost.params == sum(params for params, _ in cost.parts.values())


def test_grouped_convolution_counts_its_groups():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8))
    assert count_complexity(model, (4, 4)).madds == 16 * (3 * 8 + 8 * 9)


def test_training_aids_do_not_count():
    costs = []
    for aids in ({}, dict(denoising=dict(), query_groups=3)):
        config = Config.fromfile(CONFIGS / 'shapes' / 'e2e_paper_mf26m.py').model
        config.bbox_head.update(aids)
        costs.append(count_model(config, (64, 64)))
    assert costs[0] == costs[1]


@pytest.mark.parametrize('shape', [(800, 1333)])
def test_no_size_is_too_large(shape):
    assert count_complexity(nn.Sequential(nn.Conv2d(3, 1000, 3, padding=1)), shape).madds == 800 * 1333 * 27000
