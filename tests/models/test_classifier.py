"""The classifier as mmengine's loops call it."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement

from mfdet.errors import InputError
from mfdet.models import MobileFormerClassifier

PREPROCESSOR = dict(type='mmengine.ImgDataPreprocessor', mean=[1.0, 2.0, 3.0], std=[2.0, 4.0, 8.0], bgr_to_rgb=True)


def build(**options):
    torch.manual_seed(0)
    return MobileFormerClassifier('26m', num_classes=3, data_preprocessor=PREPROCESSOR, **options)


def batch(count=4):
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=generator) for _ in range(count)]
    return dict(inputs=images, data_samples=[BaseDataElement(gt_label=i % 3) for i in range(count)])


def normalised(data):
    images = torch.stack(data['inputs']).float()[:, [2, 1, 0]]
    return (images - torch.tensor([1.0, 2.0, 3.0])[:, None, None]) / torch.tensor([2.0, 4.0, 8.0])[:, None, None]


def test_weights_keep_their_names():
    names = build().state_dict().keys()
    assert {name.partition('.')[0] for name in names} == {'backbone', 'head'}
    assert names == MobileFormerClassifier('26m', num_classes=3).state_dict().keys()


def test_loss_is_the_cross_entropy_to_smoothed_labels():
    model, data = build(label_smoothing=0.1), batch()
    loss = model(**model.data_preprocessor(data, True), mode='loss')['loss']
    labels = torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(loss, F.cross_entropy(model(normalised(data)), labels, label_smoothing=0.1))


def test_loss_of_mixed_images_is_the_mean_of_the_losses_to_both_labels():
    model, data = build(mixup=1.0), batch()
    torch.manual_seed(3)
    loss = model(**model.data_preprocessor(data, True), mode='loss')['loss']
    torch.manual_seed(3)
    share = float(torch.distributions.Beta(*torch.ones(2, 1, dtype=torch.float64)).sample())
    order = torch.randperm(4)
    images, labels = normalised(data), torch.tensor([0, 1, 2, 0])
    logits = model(share * images + (1 - share) * images[order])
    expected = share * F.cross_entropy(logits, labels) + (1 - share) * F.cross_entropy(logits, labels[order])
    torch.testing.assert_close(loss, expected)


def test_a_step_learns_and_testing_gives_probabilities_of_unmixed_images():
    model, data = build(mixup=0.2, dropout=0.5), batch()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = model.head.classifier.weight.clone()
    assert model.train_step(data, wrapper)['loss'] > 0
    assert not torch.equal(model.head.classifier.weight, before)
    model.eval()
    with torch.no_grad():
        predicted = model.val_step(data)
        torch.testing.assert_close(
            torch.stack([sample.pred_scores for sample in predicted]), model(normalised(data)).softmax(-1)
        )
    assert [sample.gt_label for sample in predicted] == [0, 1, 2, 0]


@pytest.mark.parametrize('wrong', [dict(dropout=1), dict(label_smoothing=-0.1), dict(mixup=-1)])
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        build(**wrong)
