import importlib

import pytest
import torch

from mfdet.compat.focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward

devices = pytest.mark.parametrize(
    'device',
    [
        'cpu',
        pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')),
    ],
)


def definition(logits, target, weight, gamma, alpha):
    """The loss of every element, written with probabilities as in the paper."""
    p = logits.sigmoid()
    losses = []
    for row, label in zip(p, target.tolist(), strict=True):
        loss = -(1 - alpha) * row**gamma * (1 - row).log()
        if 0 <= label < len(row):
            here = -alpha * (1 - row[label]) ** gamma * row[label].log()
            loss = torch.cat([loss[:label], here[None], loss[label + 1 :]])
            loss = loss * (weight[label] if len(weight) else 1)
        losses.append(loss)
    return torch.stack(losses)


def sample(dtype=torch.float64, weighted=False, device='cpu'):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(12, 5, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 3, 4, 5, 0, 4, 5, 5, -2, 2])  # 5 and -2 are background
    weight = torch.rand(5, generator=generator, dtype=torch.float64) if weighted else torch.empty(0)
    return logits.to(device, dtype), target.to(device), weight.to(device, dtype)


@devices
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.7)])
def test_forward_and_backward_agree_with_the_definition(device, weighted, gamma, alpha):
    logits, target, weight = sample(weighted=weighted, device=device)
    logits.requires_grad_()
    expected = definition(logits, target, weight, gamma, alpha)
    (gradient,) = torch.autograd.grad(expected.sum(), logits)
    output, grad_input = torch.full_like(logits, 9.0), torch.full_like(logits, 9.0)
    sigmoid_focal_loss_forward(logits, target, weight, output, gamma=gamma, alpha=alpha)
    sigmoid_focal_loss_backward(logits, target, weight, grad_input, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(grad_input, gradient)


@devices
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precisions_are_rounded_only_at_the_end(device, dtype):
    logits, target, weight = sample(dtype, weighted=True, device=device)
    exact = logits.double(), target, weight.double()
    for function in (sigmoid_focal_loss_forward, sigmoid_focal_loss_backward):
        output, expected = torch.zeros_like(logits), torch.zeros_like(exact[0])
        function(logits, target, weight, output, gamma=2.0, alpha=0.25)
        function(*exact, expected, gamma=2.0, alpha=0.25)
        if dtype == torch.float32:
            torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-7)
        else:
            torch.testing.assert_close(output, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-7)


def test_large_logits_are_stable():
    logits, target = torch.tensor([[500.0, 500.0], [-500.0, -500.0], [-20.0, -20.0]]), torch.tensor([0, 0, 0])
    loss, gradient = torch.zeros_like(logits), torch.zeros_like(logits)
    sigmoid_focal_loss_forward(logits, target, torch.empty(0), loss, gamma=2.0, alpha=0.25)
    sigmoid_focal_loss_backward(logits, target, torch.empty(0), gradient, gamma=2.0, alpha=0.25)
    # Wrong by a logit x, an element loses its factor times |x|; right by x, next to nothing but not zero.
    right = 0.75 * torch.tensor(-60.0).exp().item()
    torch.testing.assert_close(loss, torch.tensor([[0, 375], [125, 0], [5, right]]), rtol=1e-5, atol=0)
    expected = torch.tensor([[0, 0.75], [-0.25, 0], [-0.25, 3 * right]])
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize('reduction', ['none', 'sum', 'mean'])
def test_through_mmcv(reduction):
    focal_loss = importlib.import_module('mmcv.ops').sigmoid_focal_loss
    logits, target, weight = sample(torch.float32, weighted=True)
    target = target.clamp(0, 4)  # compiled operators read out of bounds for a weighted background
    logits.requires_grad_()
    expected = definition(logits, target, weight, 2.0, 0.25)
    expected = {'none': expected, 'sum': expected.sum(), 'mean': expected.sum() / len(logits)}[reduction]
    result = focal_loss(logits, target, 2.0, 0.25, weight, reduction)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)
    slopes = torch.linspace(1, 2, result.numel()).reshape(result.shape)
    gradients = [torch.autograd.grad(loss, logits, slopes)[0] for loss in (result, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_through_mmdet():
    module = importlib.import_module('mmdet.models.losses.focal_loss')
    logits, target, _ = sample(torch.float32)
    target[10] = 5  # mmdet knows no other background
    one_hot = torch.nn.functional.one_hot(target, 6)[:, :5]
    # FocalLoss calls the first of these on CUDA and the second on the CPU.
    results = [
        module.sigmoid_focal_loss(logits, target, avg_factor=7),
        module.py_sigmoid_focal_loss(logits, one_hot, avg_factor=7),
    ]
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)
