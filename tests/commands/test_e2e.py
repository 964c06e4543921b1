"""The end-to-end detector from the command line, on tiny data."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from quick import QUICK, lengths

from mfdet.commands import test as test_command
from mfdet.commands import train as train_command
from mfdet.commands import visualize_queries
from mfdet.data.shapes import layout, write_coco
from mfdet.models import MobileFormerClassifier

CONFIGS = Path(__file__).parents[2] / 'configs'
SHAPES = str(CONFIGS / 'shapes' / 'e2e_paper_mf26m.py')
OWN = str(CONFIGS / 'cpu' / 'e2e_paper_mf26m.py')
QUICK_SHAPES = [*QUICK, *lengths(4, 3)]


def run(command, *args):
    return command.main([str(arg) for arg in args])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory after two tiny epochs on generated shapes."""
    work_dir = tmp_path_factory.mktemp('work')
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=2']
    assert run(train_command, SHAPES, '--work-dir', work_dir, *options) == 0
    return work_dir


@pytest.fixture(scope='module')
def image_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('images') / 'noise.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(256, size=(70, 100, 3), dtype=np.uint8))
    return path


def test_train_test_and_resume(trained, tmp_path):
    assert json.loads((trained / 'summary.json').read_text())['iterations'] == 4
    out = tmp_path / 'results.json'
    args = [trained / 'epoch_2.pth', '--work-dir', trained, '--out', out, '--cfg-options', *QUICK_SHAPES]
    assert run(test_command, SHAPES, *args) == 0
    results = json.loads(out.read_text())
    assert len(results) == 3 * 25  # every query of every image: no NMS, no threshold
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=3']
    args = ['--work-dir', tmp_path / 'more', '--resume', trained / 'epoch_2.pth', *options]
    assert run(train_command, SHAPES, *args) == 0
    assert json.loads((tmp_path / 'more' / 'summary.json').read_text())['epochs'] == 3


def test_own_data_and_released_backbone_weights(tmp_path, capsys):
    for name, seed in (('train', 0), ('val', 1)):
        write_coco(tmp_path, 3, seed, (64, 48), name)
    torch.manual_seed(0)
    torch.save(dict(state_dict=MobileFormerClassifier('26m').state_dict()), tmp_path / 'backbone.pth')
    data = ['--data-root', tmp_path, '--train-ann', 'annotations/train.json', '--train-images', 'images']
    data += ['--val-ann', 'annotations/val.json', '--val-images', 'images']
    args = ['--work-dir', tmp_path / 'work', *data, '--backbone-weights', tmp_path / 'backbone.pth']
    assert run(train_command, OWN, *args, '--cfg-options', *QUICK, 'train_cfg.max_epochs=1') == 0
    output = capsys.readouterr().out
    for noise in ('index created', 'SyncBatchNorm', 'Loads checkpoint', 'd0.loss_cls', 'd3.loss_iou'):
        assert noise not in output
    assert re.search(r'^Epoch 1/1: loss \d+\.\d{3}, lr ', output, re.MULTILINE)
    for pattern in ('*/*.log', '*/vis_data/scalars.json'):
        assert 'd0.loss_cls' in next((tmp_path / 'work').glob(pattern)).read_text()
    assert re.search(r'The backbone 26m starts from the \d+ tensors of .*backbone\.pth; its head left out', output)
    weights = torch.load(tmp_path / 'work' / 'epoch_1.pth', weights_only=True)['state_dict']
    assert weights['bbox_head.fc_cls.bias'].shape == (6 + 1,)
    assert weights['bbox_head.query_features'].shape[0] == 100


@pytest.mark.skipif(torch.cuda.is_available(), reason='tests the processes of a machine without a GPU')
def test_two_processes_of_which_one_has_an_image_without_objects(tmp_path):
    seed = 25
    assert sorted(len(layout(i, seed, (96, 96), 1, (0.3, 0.7)).labels) for i in range(2)) == [0, 1]
    tool = CONFIGS.parent / 'tools' / 'train.py'
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', tool]
    options = [*QUICK_SHAPES, 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=1']
    options += [f'train_dataloader.dataset.{entry}' for entry in ('length=2', f'seed={seed}', 'max_objects=1')]
    done = subprocess.run(
        [str(word) for word in [*launch, SHAPES, '--work-dir', tmp_path, '--cfg-options', *options]],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / 'summary.json').read_text())['iterations'] == 1


def test_training_that_diverges_names_an_image(tmp_path, capsys):
    options = ['--cfg-options', *QUICK_SHAPES, 'optim_wrapper.optimizer.lr=1e30', 'param_scheduler=[]']
    assert run(train_command, SHAPES, '--work-dir', tmp_path, *options) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('error: iteration 2: image shapes/0/')
    assert 'not finite, training has diverged' in error


def test_queries_are_drawn_as_one_picture(trained, image_file, tmp_path):
    folder = tmp_path / 'new' / os.fsdecode(b'\xe9')  # of Latin-1, which OpenCV crashes at
    args = [SHAPES, trained / 'epoch_2.pth', image_file, '--out', folder]
    assert run(visualize_queries, *args, '--top', 2) == 0
    picture = cv2.imread(os.fsencode(folder / 'noise_queries.png'))
    rows, columns = 2, 4  # boxes, then three scales
    assert picture.shape[:2] == (rows * (224 + 24 + 8), columns * (320 + 8))
    assert run(visualize_queries, *args, '--queries', 0, 7, 24) == 0
    assert cv2.imread(os.fsencode(folder / 'noise_queries.png')).shape[0] == 3 * (224 + 24 + 8)


def test_observed_attention_is_that_of_the_image(trained):
    from mfdet.engine.inference import image_pipeline, load_model
    from mfdet.engine.queries import observe

    model, config, classes = load_model(SHAPES, trained / 'epoch_2.pth')
    assert len(classes) == 6
    image = np.random.default_rng(1).integers(256, size=(70, 100, 3), dtype=np.uint8)
    data = {name: [value] for name, value in image_pipeline(config)(dict(img=image, img_id=0)).items()}
    scores, boxes, attention = observe(model, data)
    assert scores.shape == (5, 25, 6)
    assert boxes.shape == (5, 25, 4)
    assert [weights.shape for weights in attention] == [(25, 3, 4), (25, 5, 7), (25, 9, 13)]
    for weights in attention:
        np.testing.assert_allclose(weights.sum((1, 2)), 1, atol=1e-5)


def test_the_page_finds_the_query_behind_a_detection(trained):
    from mfdet.engine.queries import Observer
    from mfdet.page.detect import detect
    from mfdet.page.models import Models
    from mfdet.page.watch import watch

    path = str(trained / 'epoch_2.pth')
    models = Models([path])
    image = np.random.default_rng(1).integers(256, size=(70, 100, 3), dtype=np.uint8)
    found = detect(models.detector('epoch_2.pth'), 'epoch_2.pth', image, 'noise.png')
    assert models.has_queries('epoch_2.pth')
    observer = models.observer('epoch_2.pth')
    assert isinstance(observer, Observer)
    seen, names = None, []
    for number in range(len(found.detections)):
        seen, drawn = watch(observer, found, seen, found.detections, number)
        assert [picture.shape for _, picture in drawn] == [(224, 320, 3)] * 4
        names.append(drawn[0][0])
        label, score = found.detections.names[number], found.detections.scores[number]
        query = seen.query_of(
            found.detections.boxes[number] / [100, 70, 100, 70], found.detections.labels[number], score
        )
        assert drawn[0][0].startswith(f'query {query}: ')
        assert seen.scores[-1, query, found.detections.labels[number]] == pytest.approx(score, abs=1e-4), label
        cx, cy, w, h = seen.boxes[-1, query] * [100, 70, 100, 70]
        corners = np.clip([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 0, [100, 70, 100, 70])
        np.testing.assert_allclose(corners, found.detections.boxes[number], atol=1e-2)
    assert len(set(names)) > 1


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (dict(config=str(CONFIGS / 'nowhere.py')), 'nowhere.py: no such config file'),
        (dict(config=str(CONFIGS / 'cpu' / 'e2e_paper_mf26m.py')), 'does not fit'),
        (dict(checkpoint='nowhere.pth'), 'nowhere.pth: no such checkpoint file'),
        (dict(image='nowhere.png'), 'nowhere.png: no such image file'),
        (dict(image=SHAPES), 'not an image'),
        (dict(extra=['--queries', '25']), '--queries must be from 0 to 24'),
        (dict(extra=['--top', '0']), '--top must be at least 1'),
        (dict(out=SHAPES), '--out'),
    ],
    ids=str,
)
def test_mistakes_end_with_one_sentence_and_2(trained, image_file, tmp_path, capsys, change, says):
    args = dict(config=SHAPES, checkpoint=trained / 'epoch_2.pth', image=image_file, out=tmp_path, extra=[])
    args.update(change)
    command = [args['config'], args['checkpoint'], args['image'], '--out', args['out'], *args['extra']]
    assert run(visualize_queries, *command) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('error: ')
    assert says in error
