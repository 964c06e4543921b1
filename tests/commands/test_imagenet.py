"""Training and testing of classifiers from the command line, on generated shapes in class folders."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from class_folders import CONFIG, TINY, write_folders
from PIL import Image
from quick import QUICK, SAME_BITS, lengths

from mfdet.commands import export as export_command
from mfdet.commands import test as test_command
from mfdet.commands import train as train_command
from mfdet.engine.inference import load_model
from mfdet.models import MobileFormerClassifier
from mfdet.weights import convert_to_official

SHAPES = str(Path(__file__).parents[2] / 'configs' / 'shapes' / 'retinanet_mf26m.py')


def train(*args, options=()):
    return train_command.main([CONFIG, *map(str, args), '--cfg-options', *TINY, *options])


def evaluate(checkpoint, *args, options=()):
    return test_command.main([CONFIG, str(checkpoint), *map(str, args), '--cfg-options', *TINY, *options])


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp('folders'))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, folders):
    """A work directory after two tiny epochs."""
    work_dir = tmp_path_factory.mktemp('work')
    assert train('--data-root', folders, '--work-dir', work_dir, '--save-every', 1) == 0
    return work_dir


def classify(checkpoint, folders):
    """Classify the validation images one by one; return true labels (N,) and logits (N, 2)."""
    model, _, classes = load_model(CONFIG, str(checkpoint), {'model.num_classes': 2})
    labels, logits = [], []
    for path in sorted(folders.glob('val/*/*.png')):
        image = Image.open(path)
        assert image.size == (40, 48)
        image = np.asarray(image.resize((36, 43), Image.Resampling.BICUBIC))[6:38, 2:34].astype(np.float32)
        pixels = (image - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
        with torch.no_grad():
            logits.append(model(torch.from_numpy(pixels.transpose(2, 0, 1)[None]).float())[0].numpy())
        labels.append(list(classes or ['cross', 'ring']).index(path.parent.name))
    return np.array(labels), np.array(logits)


def top1_by_hand(checkpoint, folders):
    """Return the top-1 accuracy of a checkpoint in percent."""
    labels, logits = classify(checkpoint, folders)
    return 100 * np.mean(logits.argmax(1) == labels)


def tip(checkpoint, path, folders):
    """Save a checkpoint with a bias by which it takes one image alone for the second class: 2 or 4 of 6 are right."""
    _, logits = classify(checkpoint, folders)
    lead = np.sort(logits[:, 1] - logits[:, 0])
    content = torch.load(checkpoint, weights_only=True)
    content['state_dict']['head.classifier.bias'][0] += float(lead[-2:].mean())
    torch.save(content, path)
    return path


def test_training_leaves_what_that_of_a_detector_does(trained):
    summary = json.loads((trained / 'summary.json').read_text())
    assert summary['epochs'] == 2
    assert summary['iterations'] == 4  # of 10 images in batches of 4
    assert 0 <= summary['best_top1'] <= 100
    assert 'best_ap' not in summary
    assert 0 < summary['waiting_percent'] < 100
    assert re.fullmatch(r'best_accuracy_top1_epoch_[12]\.pth', os.path.basename(summary['best_checkpoint']))
    assert os.path.isfile(summary['best_checkpoint'])
    assert cv2.imread(str(trained / 'curves.png')).shape[0] > 200
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=True)
    assert checkpoint['meta']['dataset_meta']['classes'] == ('cross', 'ring')
    assert checkpoint['state_dict']['head.classifier.bias'].shape == (2,)
    assert {path.name for path in trained.glob('iter_*.pth')} == {'iter_3.pth', 'iter_4.pth'}


@SAME_BITS
def test_a_run_goes_on_from_the_middle_of_an_epoch_to_the_same_bits(trained, folders, tmp_path):
    shutil.copy(trained / 'iter_3.pth', tmp_path)
    assert train('--data-root', folders, '--work-dir', tmp_path, '--resume') == 0
    first, second = (torch.load(path / 'epoch_2.pth', weights_only=True)['state_dict'] for path in (trained, tmp_path))
    assert [name for name in first if not first[name].equal(second[name])] == []
    before = torch.load(tmp_path / 'iter_3.pth', weights_only=True)['state_dict']
    assert not before['head.classifier.bias'].equal(second['head.classifier.bias'])


def test_testing_counts_what_a_count_by_hand_does(trained, folders, tmp_path, capsys):
    path = tip(trained / 'epoch_2.pth', tmp_path / 'tipped.pth', folders)
    assert evaluate(path, '--data-root', folders, '--work-dir', tmp_path) == 0
    output = capsys.readouterr().out
    expected = top1_by_hand(path, folders)
    assert expected in (pytest.approx(100 / 3), pytest.approx(200 / 3))
    assert f'top-1 {expected:.2f} %, top-5 100.00 % of 6 images' in output
    table = re.search(r'least top-1 accuracy:\nclass +images +top-1 % +most often taken for\n(.*)\n(.*)\n', output)
    assert {line.split()[0]: line.split()[1] for line in table.groups()} == dict(cross='3', ring='3')
    assert sum(float(line.split()[2]) for line in table.groups()) / 2 == pytest.approx(expected, abs=0.01)


def test_a_released_file_is_tested_with_the_sorted_folders(folders, tmp_path, capsys):
    torch.manual_seed(1)
    weights = convert_to_official(MobileFormerClassifier('26m', num_classes=2).state_dict())
    path = tmp_path / 'mobile-former-26m.pth.tar'
    torch.save(dict(state_dict=weights), path)
    args = path, '--data-root', folders, '--work-dir', tmp_path / 'work'
    assert evaluate(*args, options=['model.num_classes=2']) == 0
    assert f'top-1 {top1_by_hand(path, folders):.2f} %' in capsys.readouterr().out
    assert evaluate(*args) == 2
    assert 'holds 2 class folders, but' in capsys.readouterr().err


def test_a_validation_may_lack_a_class_but_is_labelled_as_the_training(trained, folders, tmp_path, capsys):
    shutil.copytree(folders / 'val' / 'ring', tmp_path / 'val' / 'ring')
    assert evaluate(trained / 'epoch_2.pth', '--data-root', tmp_path, '--work-dir', tmp_path / 'work') == 0
    assert f'top-1 {top1_by_hand(trained / "epoch_2.pth", tmp_path):.2f} % ' in capsys.readouterr().out.replace(
        ',', ' '
    )
    shutil.copytree(folders / 'train', tmp_path / 'train')
    assert train('--data-root', tmp_path, '--work-dir', tmp_path / 'run', options=['train_cfg.max_epochs=1']) == 0
    output = capsys.readouterr().out
    assert 'val/: no image of cross, which training has' in output
    assert re.search(r'^Epoch 1/1, validation: top-1 \d+\.\d\d %, top-5 100\.00 %', output, re.MULTILINE)


def test_backbone_of_a_classifier_starts_a_detector_and_a_classifier(trained, folders, tmp_path, capsys):
    best = json.loads((trained / 'summary.json').read_text())['best_checkpoint']
    quick = ['--cfg-options', *QUICK, *lengths(2, 2), 'train_cfg.max_epochs=1']
    args = ['--work-dir', str(tmp_path / 'detector'), '--backbone-weights', best]
    assert train_command.main([SHAPES, *args, *quick]) == 0
    loaded = r'The backbone 26m starts from the \d+ tensors of .*best_.*\.pth; its head left out'
    assert re.search(loaded, capsys.readouterr().out)
    args = ['--data-root', folders, '--work-dir', tmp_path / 'classifier', '--backbone-weights', best]
    assert train(*args, '--freeze', 'backbone', options=['train_cfg.max_epochs=1']) == 0
    assert re.search(loaded, capsys.readouterr().out)
    before, after = (
        torch.load(path, weights_only=True)['state_dict'] for path in (best, tmp_path / 'classifier' / 'epoch_1.pth')
    )
    assert all(before[name].equal(after[name]) for name in before if name.startswith('backbone.'))
    assert not before['head.classifier.weight'].equal(after['head.classifier.weight'])


def test_a_trained_classifier_is_exported_with_its_classes(trained, folders, tmp_path, capsys):
    path = tmp_path / 'a.safetensors'
    args = [CONFIG, trained / 'epoch_2.pth', '--format', 'weights', '--output', path]
    assert export_command.main([str(arg) for arg in args]) == 0
    assert load_model(CONFIG, str(path))[2] == ['cross', 'ring']
    assert evaluate(path, '--data-root', folders, '--work-dir', tmp_path / 'work') == 0
    assert f'top-1 {top1_by_hand(trained / "epoch_2.pth", folders):.2f} %' in capsys.readouterr().out


def spoil(root, how):
    """Make one mistake in class folders."""
    if how == 'flat':
        (root / 'train' / 'ring' / '1.png').rename(root / '1.png')
        shutil.rmtree(root / 'train')
        (root / 'train').mkdir()
        (root / '1.png').rename(root / 'train' / '1.png')
    elif how == 'no train':
        shutil.rmtree(root / 'train')
    elif how == 'one':
        shutil.rmtree(root / 'train' / 'cross')
    elif how == 'other':
        (root / 'val' / 'ring').rename(root / 'val' / 'star')
    elif how == 'empty':
        for path in (root / 'train' / 'ring').iterdir():
            path.unlink()
    else:
        for path in root.glob('train/ring/*.png'):
            path.write_bytes(b'no image')


@pytest.mark.parametrize(
    ('how', 'says'),
    [
        ('no train', 'train/: no such folder of class folders; --data-root names the folder'),
        ('flat', 'train/: holds 1 images that are in no class folder'),
        ('one', 'train/: holds one class folder, ring; a classifier needs at least two'),
        ('other', 'val/: star is no class of the training, which has 2 (cross, ring)'),
        ('empty', 'train/ring: holds no image'),
        ('damaged', '.png: is damaged or not an image'),
    ],
)
def test_wrong_folders_end_with_one_sentence_and_2(how, says, folders, tmp_path, capsys):
    shutil.copytree(folders, tmp_path / 'data')
    spoil(tmp_path / 'data', how)
    assert train('--data-root', tmp_path / 'data', '--work-dir', tmp_path / 'work') == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f'error: {tmp_path / "data"}')
    assert says in error


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['--data-root', 'nowhere'], 'nowhere: no such data folder (--data-root)'),
        (['--train-ann', 'a.json'], '--train-ann is for detectors'),
        (['--allow-bad-boxes'], '--allow-bad-boxes is for detectors'),
        (['--load-from', 'a.pth'], '--backbone-weights takes a trained classifier'),
        (['--backbone-weights', 'a.pth'], 'a.pth: no such checkpoint file'),
        (['--train-images', 'images'], 'images: no such folder of class folders'),
    ],
)
def test_wrong_options_end_with_one_sentence_and_2(args, says, folders, tmp_path, capsys):
    assert train('--data-root', folders, *args, '--work-dir', tmp_path / 'work') == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('error: ')
    assert says in error


@pytest.mark.parametrize(
    ('option', 'says'),
    [
        ('train_dataloader.batch_size=16', 'train/: 10 images do not fill a batch of all processes'),
        ('train_dataloader.batch_size=1', 'train_dataloader.batch_size must be at least 2'),
        ('optim_wrapper.optimizer.lr=1e38', 'is not finite; lower optim_wrapper.optimizer.lr'),
        ('train_dataloader.dataset.pipeline.1.size=0', 'RandomResizedCrop: size must be a whole number from 1 up'),
    ],
)
def test_wrong_settings_are_named(option, says, folders, tmp_path, capsys):
    assert train('--data-root', folders, '--work-dir', tmp_path, options=[option]) == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['--out', 'a.json'], '--out is for detectors'),
        (['--show-dir', 'pictures'], '--show-dir is for detectors'),
        (['--report', 'report'], '--report is for detectors'),
        (['--data-root', 'nowhere'], 'nowhere: no such data folder'),
    ],
)
def test_mistakes_of_a_test(args, says, trained, folders, tmp_path, capsys):
    assert evaluate(trained / 'epoch_2.pth', '--data-root', folders, *args, '--work-dir', tmp_path) == 2
    assert says in capsys.readouterr().err


def test_an_exported_classifier_is_not_tested(folders, tmp_path, capsys):
    (tmp_path / 'a.onnx').touch()
    assert evaluate(tmp_path / 'a.onnx', '--data-root', folders, '--work-dir', tmp_path) == 2
    assert 'a.onnx: exported classifiers are not tested here; give the checkpoint' in capsys.readouterr().err
