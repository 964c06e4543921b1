import numpy as np
import pytest
import torch

from mfdet.models.mixup import mixup, smooth_targets


def test_smoothed_targets():
    targets = smooth_targets(torch.tensor([2, 0]), 4, 0.1)
    assert targets.tolist() == [pytest.approx([0.025, 0.025, 0.925, 0.025]), pytest.approx([0.925] + [0.025] * 3)]
    assert torch.equal(smooth_targets(torch.tensor([1]), 3, 0), torch.tensor([[0.0, 1.0, 0.0]]))


def test_images_and_targets_are_mixed_by_one_share_with_one_partner():
    torch.manual_seed(0)
    images, targets = torch.rand(6, 3, 4, 5), torch.eye(6)
    before = images.clone()
    mixed, soft = mixup(images, targets, 0.5)
    assert torch.equal(images, before)
    share = 0
    for i in range(6):
        partners = soft[i].nonzero().flatten().tolist()
        expected = sum(float(soft[i, j]) * images[j] for j in partners)
        torch.testing.assert_close(mixed[i], expected)
        assert float(soft[i].sum()) == pytest.approx(1)
        if len(partners) == 2:
            assert share in (0, float(soft[i, i]))
            share = float(soft[i, i])
    assert 0 < share < 1


@pytest.mark.parametrize('alpha', [0.2, 2.0])
def test_shares_follow_the_beta_distribution(alpha):
    torch.manual_seed(0)
    targets = torch.eye(2)
    drawn = [mixup(torch.zeros(2, 1, 1, 1), targets, alpha)[1][0] for _ in range(3000)]
    # With two images the partner is the other one half of the time: only those tell the share.
    assert sum(bool(row[0] == 1) for row in drawn) > 1300
    shares = np.array([float(row[0]) for row in drawn])
    shares = shares[shares < 1]
    assert shares.mean() == pytest.approx(0.5, abs=0.04)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)
