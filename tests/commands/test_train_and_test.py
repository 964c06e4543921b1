"""Training and testing from the command line, on tiny data."""

import json
import os
import re
from pathlib import Path

import cv2
import pytest
import torch
from quick import QUICK, lengths

from mfdet.commands import test as test_command
from mfdet.commands import train as train_command
from mfdet.data.shapes import write_coco

CONFIGS = Path(__file__).parents[2] / 'configs'
SHAPES = str(CONFIGS / 'shapes' / 'retinanet_mf26m.py')
SMALL = str(CONFIGS / 'small' / 'retinanet_mf151m.py')
SMALLEST = ['model.backbone.arch=26m', 'model.neck.in_channels=[24,64,96]']
QUICK_SHAPES = [*QUICK, *lengths(4, 3)]


def train(*args):
    return train_command.main([str(arg) for arg in args])


def evaluate(*args):
    return test_command.main([str(arg) for arg in args])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory after two tiny epochs on generated shapes."""
    work_dir = tmp_path_factory.mktemp('work')
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=2']
    assert train(SHAPES, '--work-dir', work_dir, *options) == 0
    return work_dir


def test_training_leaves_curves_summary_and_checkpoints(trained):
    summary = json.loads((trained / 'summary.json').read_text())
    assert summary['epochs'] == 2
    assert summary['iterations'] == 4
    assert summary['best_ap'] >= 0
    assert summary['images_per_second'] > 0
    assert 0 < summary['waiting_percent'] < 100
    (log,) = trained.glob('*/*.log')
    assert log.read_text().count('% of the time of its steps went by waiting for the loader') == 2
    assert os.path.isfile(summary['best_checkpoint'])
    assert os.path.isfile(summary['last_checkpoint'])
    assert cv2.imread(str(trained / 'curves.png')).shape[0] > 200


def test_plain_numbers_in_place_of_keys(tmp_path, capsys):
    numbers = ['--epochs', 2, '--batch-size', 3, '--image-size', 64, '--early-stop', 1]
    assert train(SHAPES, '--work-dir', tmp_path, *numbers, '--cfg-options', *QUICK_SHAPES) == 0
    assert json.loads((tmp_path / 'summary.json').read_text())['iterations'] == 2 * 2
    checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert checkpoint['message_hub']['runtime_info']['early_stopping'][1] == 0  # so a resumed run counts on
    assert 'image_size=(64, 64)' in re.sub(r'\s+', ' ', checkpoint['meta']['cfg']).replace('( 64, 64, )', '(64, 64)')
    for option in ('--epochs', '--batch-size', '--early-stop'):
        assert train(SHAPES, option, 0) == 2
        assert f'{option} must be at least 1, got 0' in capsys.readouterr().err


def test_checkpoint_is_plain_and_complete(trained):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=True)
    assert checkpoint['meta']['dataset_meta']['classes'][0] == 'ellipse'
    assert checkpoint['meta']['normalization']['mean'] == [123.675, 116.28, 103.53]
    assert checkpoint['meta']['normalization']['bgr_to_rgb'] is True
    assert 'MobileFormer' in checkpoint['meta']['cfg']
    assert len(checkpoint['message_hub']['log_scalars']['train/loss'][0]) == 4


def test_resume_goes_on_where_it_stopped(trained, tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes((trained / 'epoch_1.pth').read_bytes())
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=2']
    assert train(SHAPES, '--work-dir', tmp_path, '--resume', *options) == 0
    resumed = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert len(resumed['message_hub']['log_scalars']['train/loss'][0]) == 4
    assert json.loads((tmp_path / 'summary.json').read_text())['iterations'] == 4


def test_a_run_killed_in_its_last_validation_has_its_summary_when_it_goes_on(trained, tmp_path):
    (tmp_path / 'epoch_2.pth').write_bytes((trained / 'epoch_2.pth').read_bytes())
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=2']
    assert train(SHAPES, '--work-dir', tmp_path, '--resume', *options) == 0
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['best_ap'] == json.loads((trained / 'summary.json').read_text())['best_ap']
    assert (summary['epochs'], summary['images_per_second'], summary['waiting_percent']) == (2, None, None)


def test_resume_never_runs_what_a_checkpoint_holds(trained, tmp_path):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=True)
    mark = tmp_path / 'mark'
    checkpoint['meta']['config'] = f'import os; os.mkdir({str(mark)!r})'
    torch.save(checkpoint, tmp_path / 'evil.pth')
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=2']
    assert train(SHAPES, '--work-dir', tmp_path / 'work', '--resume', tmp_path / 'evil.pth', *options) == 0
    assert not mark.exists()


@pytest.mark.parametrize('part', ['meta', 'optimizer'])
def test_resume_needs_the_whole_state(trained, tmp_path, capsys, part):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=True)
    del checkpoint[part]
    torch.save(checkpoint, tmp_path / 'part.pth')
    assert train(SHAPES, '--work-dir', tmp_path, '--resume', tmp_path / 'part.pth') == 2
    assert f'part.pth: it has no "{part}"' in capsys.readouterr().err


def test_resume_elsewhere_leaves_the_best_checkpoint_of_the_old_run(trained, tmp_path):
    best = json.loads((trained / 'summary.json').read_text())['best_checkpoint']
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=True)
    checkpoint['message_hub']['runtime_info'].update(best_ckpt=best, best_score=-1.0)
    torch.save(checkpoint, tmp_path / 'low.pth')
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=2']
    assert train(SHAPES, '--work-dir', tmp_path / 'work', '--resume', tmp_path / 'low.pth', *options) == 0
    assert os.path.isfile(best)


def test_resume_without_a_checkpoint_is_refused(tmp_path, capsys):
    assert train(SHAPES, '--work-dir', tmp_path, '--resume') == 2
    assert 'holds no checkpoint yet' in capsys.readouterr().err


def test_an_earlier_run_is_not_overwritten(trained, capsys):
    before = sorted(trained.iterdir())
    assert train(SHAPES, '--work-dir', trained) == 2
    assert 'holds an earlier run; go on with --resume, name another --work-dir' in capsys.readouterr().err
    assert sorted(trained.iterdir()) == before


def test_the_best_weights_alone_are_an_earlier_run_too(trained, tmp_path, capsys):
    (tmp_path / 'best_coco_bbox_mAP_epoch_1.pth').touch()
    assert train(SHAPES, '--work-dir', tmp_path) == 2
    assert train(SHAPES, '--work-dir', tmp_path, '--resume', trained / 'epoch_1.pth') == 2
    assert capsys.readouterr().err.count('holds an earlier run') == 2


def test_resume_auto_starts_where_there_is_nothing_and_goes_on_where_there_is(tmp_path):
    for epochs in (1, 2):
        options = ['--cfg-options', *QUICK_SHAPES, f'train_cfg.max_epochs={epochs}']
        assert train(SHAPES, '--work-dir', tmp_path, '--resume', 'auto', *options) == 0
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['epochs'] == 2
    first, second = sorted(tmp_path.glob('*/vis_data/scalars.json'))
    losses = [path.read_text().count('"loss"') for path in (first, second)]
    assert losses[0] == losses[1] > 0  # an epoch each


def test_testing_writes_results_and_pictures(trained, tmp_path):
    out, pictures = tmp_path / 'results.json', tmp_path / os.fsdecode(b'\xe9')  # of Latin-1, which OpenCV crashes at
    options = ['--work-dir', tmp_path, '--out', out, '--show-dir', pictures, '--score-thr', '0']
    options += ['--report', tmp_path / 'report']
    cfg = [f'test_dataloader.{name}' for name in ('dataset.length=3', 'num_workers=0', 'persistent_workers=False')]
    assert evaluate(SHAPES, trained / 'epoch_2.pth', *options, '--cfg-options', *cfg) == 0
    for result in json.loads(out.read_text()):
        assert set(result) == {'image_id', 'bbox', 'score', 'category_id'}
    names = sorted(path.name for path in pictures.iterdir())
    assert names == ['0.jpg', '1.jpg', '2.jpg', 'overview.png']
    page = (tmp_path / 'report' / 'index.html').read_text()
    assert 'src="pictures/worst_01.jpg"' in page
    assert 'generated by ShapesDataset' in page
    assert (tmp_path / 'report' / 'pictures' / 'worst_01.jpg').is_file()
    assert (tmp_path / 'report' / 'curves.png').read_bytes() == (trained / 'curves.png').read_bytes()


def test_wrong_checkpoint_is_named(trained, tmp_path, capsys):
    weights = torch.load(trained / 'epoch_2.pth', weights_only=True)
    del weights['state_dict']['backbone.tokens']
    torch.save(weights, tmp_path / 'other.pth')
    assert evaluate(SHAPES, tmp_path / 'other.pth', '--work-dir', tmp_path) == 2
    error = capsys.readouterr().err
    assert re.search(r"other\.pth does not fit.*'backbone\.tokens' is missing", error)


def test_annotations_without_objects_are_refused_or_warned_of(tmp_path, capsys):
    for name in ('train', 'val'):
        write_coco(tmp_path, 6, 0, (64, 64), name)
    path = tmp_path / 'annotations' / 'train.json'
    whole = json.loads(path.read_text())
    data = ['--data-root', tmp_path, '--train-ann', 'annotations/train.json', '--train-images', 'images']
    data += ['--val-ann', 'annotations/val.json', '--val-images', 'images', '--work-dir', tmp_path / 'work']
    quick = ['--cfg-options', *QUICK, 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=3', *SMALLEST]
    for annotations in ([], [dict(item, iscrowd=1) for item in whole['annotations']]):
        path.write_text(json.dumps(dict(whole, annotations=annotations)))
        assert train(SMALL, *data, *quick) == 2
        assert 'train.json: has no object to learn from' in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / 'work').exists()
    # One image with objects, of one class; and one of a class that training does not have.
    image = whole['annotations'][0]['image_id']
    few = [dict(item, category_id=1) for item in whole['annotations'] if item['image_id'] == image]
    path.write_text(json.dumps(dict(whole, annotations=few)))
    (tmp_path / 'annotations' / 'val.json').write_text(
        (tmp_path / 'annotations' / 'val.json').read_text().replace('"train_', '"val_')
    )
    assert train(SMALL, *data, *quick) == 0
    output = capsys.readouterr().out
    assert f'Training: 6 images, {len(few)} objects: ellipse {len(few)}, rectangle 0, ' in output
    assert f'Validation: 6 images, {len(whole["annotations"])} objects: ' in output
    assert 'train.json: 5 of 6 images (83%) have no objects' in output
    assert re.search(r'train\.json: no object of .*, which validation has; it counts as missed', output)


def test_own_data_needs_no_config_editing(tmp_path):
    for name, seed in (('train', 0), ('val', 1)):
        write_coco(tmp_path, 4, seed, (64, 64), name)
    work_dir = tmp_path / 'work'
    val = ['--val-ann', 'annotations/val.json', '--val-images', 'images']
    data = ['--data-root', tmp_path, '--train-ann', 'annotations/train.json', '--train-images', 'images', *val]
    quick = ['--cfg-options', *QUICK, 'train_cfg.max_epochs=1', *SMALLEST]
    assert train(SMALL, '--work-dir', work_dir, *data, *quick) == 0
    checkpoint = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    assert checkpoint['state_dict']['bbox_head.retina_cls.bias'].shape == (9 * 6,)
    # The val file lists its categories the other way round: labels must follow the names.
    path = tmp_path / 'annotations' / 'val.json'
    content = json.loads(path.read_text())
    content['categories'] = content['categories'][::-1]
    path.write_text(json.dumps(content))
    out = tmp_path / 'results.json'
    options = ['--work-dir', work_dir, '--data-root', tmp_path, *val, '--out', out, '--show-dir', tmp_path / 'pictures']
    assert evaluate(SMALL, work_dir / 'epoch_1.pth', *options, *quick) == 0
    assert out.exists()
    assert len(list((tmp_path / 'pictures').glob('val_*.jpg'))) == 4


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (['nowhere.py'], 'nowhere.py: no such config file'),
        (['imagenet/mobile_former_26m', '--data-root', 'nowhere'], 'nowhere: no such data folder (--data-root)'),
        ([str(CONFIGS / 'retinanet_mf508m.py'), '--data-root', 'nowhere'], 'nowhere: no such data folder'),
        ([SHAPES, '--data-root', '.'], 'generated data'),
        ([SMALL, '--train-ann', 'a.json'], '--train-ann and --train-images belong together'),
        ([SMALL, '--train-ann', 'a.json', '--train-images', '.'], '--val-ann'),
        ([SHAPES, '--cfg-options', 'model.backbone.arch=27m'], 'arch must be one of'),
        (
            [SHAPES, '--cfg-options', 'model.neck.type=FPNN'],
            "config's model cannot be built: KeyError: 'FPNN is not in",
        ),
        (
            [SHAPES, '--cfg-options', 'optim_wrapper.optimizer.lr=a'],
            "config's optim_wrapper cannot be built: TypeError",
        ),
        ([SHAPES, '--cfg-options', 'train_cfg.max_epochs=0'], 'train_cfg.max_epochs must be a whole number from 1 up'),
        ([SHAPES, '--cfg-options', 'train_cfg.val_interval=0'], 'train_cfg.val_interval must be a whole number'),
        ([SHAPES, '--launcher', 'pytorch'], 'RANK is not set'),
        pytest.param(
            [SHAPES, '--launcher', 'slurm'],
            'is for GPUs, and there is none',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there'),
        ),
        ([SHAPES, '--backbone-weights', 'nowhere.pth'], 'nowhere.pth: no such checkpoint file'),
        pytest.param(
            [SHAPES, '--amp'],
            '--amp needs a GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there'),
        ),
        ([SHAPES, '--resume', 'nowhere.pth'], 'nowhere.pth: no such checkpoint file'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(args, says, tmp_path, capsys):
    assert train(*args, '--work-dir', tmp_path / 'work') == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('error: ')
    assert says in error


def test_backbone_weights_and_scaled_rate(trained, tmp_path, capsys):
    options = ['--cfg-options', *QUICK_SHAPES, 'train_cfg.max_epochs=1']
    args = ['--backbone-weights', trained / 'epoch_1.pth', '--auto-scale-lr']
    assert train(SHAPES, '--work-dir', tmp_path, *args, *options) == 0
    checkpoint = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    loaded = r'The backbone 26m starts from the \d+ tensors of .*epoch_1\.pth; it is a detector, its neck and bbox_'
    assert re.search(loaded, capsys.readouterr().out)
    assert all(value.isfinite().all() for value in checkpoint['state_dict'].values() if value.is_floating_point())


@pytest.mark.skipif('MFDET_TEST_DATA' not in os.environ, reason='MFDET_TEST_DATA does not name a folder of real images')
def test_coco128_trains_a_step_with_the_main_config(tmp_path):
    root = Path(os.environ['MFDET_TEST_DATA']) / 'coco128'
    content = json.loads((root / 'annotations' / 'instances_train2017.json').read_text())
    kept = content['images'][:1]
    ids = {image['id'] for image in kept}
    content.update(images=kept, annotations=[a for a in content['annotations'] if a['image_id'] in ids])
    (tmp_path / 'one.json').write_text(json.dumps(content))
    pair = tmp_path / 'one.json', root / 'train2017'
    data = ['--train-ann', pair[0], '--train-images', pair[1], '--val-ann', pair[0], '--val-images', pair[1]]
    options = ['--cfg-options', *QUICK, 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=1']
    steps = 'train_dataloader.dataset.pipeline.2', 'val_dataloader.dataset.pipeline.1'
    options += [f'{step}.scale=(400,240)' for step in steps]  # a tenth of the pixels
    config = CONFIGS / 'retinanet_mf508m.py'
    assert train(config, '--work-dir', tmp_path, '--data-root', root, *data, *options) == 0
    assert json.loads((tmp_path / 'summary.json').read_text())['iterations'] == 1
    checkpoint = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert len(checkpoint['meta']['dataset_meta']['classes']) == 80
