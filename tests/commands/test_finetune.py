"""Training that starts from a trained detector, from the command line."""

import json
from pathlib import Path

import pytest
import torch
from quick import QUICK

from mfdet.commands import export as export_command
from mfdet.commands import train as train_command
from mfdet.data.shapes import write_coco

CONFIGS = Path(__file__).parents[2] / 'configs'
FAMILIES = ('retinanet', 'e2e', 'e2e_plus')
NEW = {'ring': 'washer', 'cross': 'Ellipse'}  # names of the data to fine-tune on; four of six stay as they are


def train(*args):
    return train_command.main([str(arg) for arg in args])


def read(path):
    return torch.load(path, weights_only=True)


@pytest.fixture(scope='module', params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Generated images, and annotations with their own names of classes and with some others."""
    folder = tmp_path_factory.mktemp('data')
    path = write_coco(folder, 4, 0, (96, 96), 'before')
    content = json.loads(path.read_text())
    for category in content['categories']:
        category['name'] = NEW.get(category['name'], category['name'])
    path.with_name('after.json').write_text(json.dumps(content))
    return folder


def run(family, folder, annotations, work_dir, *args, options=()):
    pair = [f'annotations/{annotations}.json', 'images']
    names = ('--train-ann', '--train-images', '--val-ann', '--val-images')
    data = ['--data-root', folder, *(part for both in zip(names, pair * 2, strict=True) for part in both)]
    options = ['--cfg-options', *QUICK, 'train_cfg.max_epochs=1', *options]
    return train(CONFIGS / 'cpu' / f'{family}_mf26m.py', '--work-dir', work_dir, *data, *args, *options)


@pytest.fixture(scope='module')
def trained(family, folder, tmp_path_factory):
    """The best checkpoint of a training on the classes as they were."""
    work_dir = tmp_path_factory.mktemp(family)
    assert run(family, folder, 'before', work_dir) == 0
    return next(work_dir.glob('best_*.pth'))


def test_all_but_the_rows_of_new_classes_is_taken_over(family, trained, folder, tmp_path, capsys):
    assert (
        run(family, folder, 'after', tmp_path, '--load-from', trained, options=['optim_wrapper.optimizer.lr=0.0']) == 0
    )
    before, after = read(trained), read(tmp_path / 'epoch_1.pth')
    classes_before, classes = (part['meta']['dataset_meta']['classes'] for part in (before, after))
    assert set(classes) - set(classes_before) == {'washer', 'Ellipse'}
    bias = dict(retinanet='retina_cls', e2e='fc_cls', e2e_plus='selection.classify')[family]
    rows_before, rows = (part['state_dict'][f'bbox_head.{bias}.weight'] for part in (before, after))
    for i, name in enumerate(classes):
        same = name in classes_before and torch.equal(rows[i], rows_before[classes_before.index(name)])
        assert same == (name not in NEW.values()), name
    weights = {name: value for name, value in after['state_dict'].items() if 'running' not in name and bias not in name}
    taken = [name for name, value in weights.items() if torch.equal(value, before['state_dict'][name])]
    assert len(taken) > 0.9 * len(weights)  # num_batches_tracked has gone on
    said = next(line for line in capsys.readouterr().out.splitlines() if 'Fine-tuning starts from' in line)
    assert 'MobileFormer 26m' in said
    assert f'the class layer starts anew for {", ".join(name for name in classes if name in NEW.values())}' in said


def test_what_cannot_be_is_one_sentence(family, trained, folder, tmp_path, capsys):
    if family != 'retinanet':
        pytest.skip('the same for all')

    def refused(*args, options=()):
        assert run(family, folder, 'after', tmp_path / 'work', *args, options=options) == 2
        return capsys.readouterr().err.splitlines()[-1]

    wider = ['model.neck.out_channels=64', 'model.bbox_head.in_channels=64']
    assert (
        'which is of MobileFormer 26m with FPN of 96 channels and RetinaHead of 6 classes, does not fit this config: '
        "the first entry that differs is 'neck.lateral_convs.0.conv.weight'"
    ) in refused('--load-from', trained, options=wider).replace('SyncedRetinaHead', 'RetinaHead')
    assert 'exclude each other' in refused('--load-from', trained, '--resume')
    assert 'exclude each other' in refused('--load-from', trained, '--backbone-weights', trained)
    assert 'no such checkpoint file (--load-from)' in refused('--load-from', tmp_path / 'none.pth')
    assert "--freeze must be 'backbone' or a number" in refused('--load-from', trained, '--freeze', '5')
    assert '--freeze needs weights worth keeping' in refused('--freeze', '2')
    backbone = tmp_path / 'backbone.safetensors'
    export = [str(CONFIGS / 'cpu' / 'retinanet_mf26m.py'), str(trained), '--format', 'weights', '--backbone-only']
    assert export_command.main([*export, '--output', str(backbone)]) == 0
    assert 'it holds no detector; --backbone-weights takes' in refused('--load-from', backbone)
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_frozen_stages_keep_their_weights_and_exported_weights_will_do(family, trained, folder, tmp_path):
    if family != 'e2e_plus':
        pytest.skip('the same for all')
    exported = tmp_path / 'detector.safetensors'
    export = [str(CONFIGS / 'cpu' / f'{family}_mf26m.py'), str(trained), '--format', 'weights']
    assert export_command.main([*export, '--output', str(exported)]) == 0
    moving = ['optim_wrapper.optimizer.lr=0.01', 'model.bbox_head.num_queries=30']
    args = ['--load-from', exported, '--freeze', 'backbone']
    assert run(family, folder, 'after', tmp_path / 'work', *args, options=moving) == 0
    before, after = (read(path)['state_dict'] for path in (trained, tmp_path / 'work' / 'epoch_1.pth'))
    backbone = [name for name in before if name.startswith('backbone.')]
    assert [name for name in backbone if not torch.equal(before[name], after[name])] == []
    moved = 'bbox_head.fc_reg.0.weight'
    assert not torch.equal(before[moved], after[moved])
