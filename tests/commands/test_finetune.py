"""Training that starts from a trained detector, from the command line."""

import json
from pathlib import Path

import pytest
import torch
from quick import QUICK

from mfdet.commands import export as export_command
from mfdet.commands import test as test_command
from mfdet.commands import train as train_command
from mfdet.data.shapes import write_coco

CONFIGS = Path(__file__).parents[2] / 'configs'
FAMILIES = ('retinanet', 'e2e_paper', 'e2e_plus')
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
    bias = dict(retinanet='retina_cls', e2e_paper='fc_cls', e2e_plus='selection.classify')[family]
    rows_before, rows = (part['state_dict'][f'bbox_head.{bias}.weight'] for part in (before, after))
    for i, name in enumerate(classes):
        same = name in classes_before and torch.equal(rows[i], rows_before[classes_before.index(name)])
        assert same == (name not in NEW.values()), name
    differ = [name for name, value in after['state_dict'].items() if not torch.equal(value, before['state_dict'][name])]
    assert [name for name in differ if 'running_' not in name and 'num_batches' not in name and bias not in name] == []
    said = next(line for line in capsys.readouterr().out.splitlines() if 'Fine-tuning starts from' in line)
    assert 'MobileFormer 26m' in said
    assert 'It was trained with' not in said
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
    assert 'leave --load-from out and keep the other options' in refused('--load-from', trained, '--resume')
    assert 'exclude each other' in refused('--load-from', trained, '--backbone-weights', trained)
    for name in (tmp_path / 'none.pth', ''):
        assert 'no such checkpoint file (--load-from)' in refused('--load-from', name)
    assert "--freeze must be 'backbone' or a number" in refused('--load-from', trained, '--freeze', '5')
    for also in ((), ('--resume', 'auto')):
        assert '--freeze needs weights worth keeping' in refused('--freeze', '2', *also)
    backbone = tmp_path / 'backbone.safetensors'
    export = [str(CONFIGS / 'cpu' / 'retinanet_mf26m.py'), str(trained), '--format', 'weights', '--backbone-only']
    assert export_command.main([*export, '--output', str(backbone)]) == 0
    assert 'it holds no detector; --backbone-weights takes' in refused('--load-from', backbone)
    assert not list((tmp_path / 'work').glob('*.pth'))


AIDED = """
_base_ = ['{base}']
model = dict(
    bbox_head=dict(
        dense_aid=dict(
            type='mmdet.ATSSHead', num_classes=6, in_channels=96, feat_channels=16, stacked_convs=1,
            loss_bbox=dict(type='mmdet.GIoULoss', loss_weight=2.0), norm_cfg=dict(type='BN'),
            anchor_generator=dict(
                type='mmdet.AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1,
                strides=[8, 16, 32],
            ),
            train_cfg=dict(
                assigner=dict(type='mmdet.ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False
            ),
        )
    )
)
"""


def test_frozen_weights_averages_aids_and_what_goes_on(family, folder, trained, tmp_path, capsys):
    """One run with all of it: exported weights, a frozen backbone, averages and an aid; then its resumption."""
    if family != 'e2e_plus':
        pytest.skip('the same for all')
    exported = tmp_path / 'detector.safetensors'
    export = [str(CONFIGS / 'cpu' / f'{family}_mf26m.py'), str(trained), '--format', 'weights']
    assert export_command.main([*export, '--output', str(exported)]) == 0
    config = tmp_path / 'aided.py'
    config.write_text(AIDED.format(base=CONFIGS / 'cpu' / f'{family}_mf26m_finetune.py'))
    pair = ['annotations/after.json', 'images']
    names = ('--train-ann', '--train-images', '--val-ann', '--val-images')
    data = ['--data-root', folder, *(part for both in zip(names, pair * 2, strict=True) for part in both)]
    quick = ['--cfg-options', *QUICK, 'optim_wrapper.optimizer.lr=0.01']
    work = tmp_path / 'work'
    freeze = ['--freeze', 'backbone']
    once = [config, *data, '--work-dir', work, '--load-from', exported, *freeze, *quick, 'train_cfg.max_epochs=1']
    assert train(*once) == 0
    said = capsys.readouterr().out
    assert 'Frozen: ' in said
    assert 'requires_grad' not in said
    before, after = (read(path)['state_dict'] for path in (trained, work / 'epoch_1.pth'))
    backbone = [name for name in before if name.startswith('backbone.')]
    assert [name for name in backbone if not torch.equal(before[name], after[name])] == []
    assert not torch.equal(before['bbox_head.fc_reg.0.weight'], after['bbox_head.fc_reg.0.weight'])
    assert any('dense_aid' in name for name in after)
    best = read(next(work.glob('best_*.pth')))['state_dict']
    assert best.keys() == before.keys()
    # The run goes on with what it froze, whether it is said or not; another choice would not fit its optimiser.
    more = [config, *data, '--work-dir', work, '--resume', *quick, 'train_cfg.max_epochs=2']
    assert train(*more, *['--freeze', '1']) == 2
    assert 'its run had --freeze 4, this one freezes stages up to 1' in capsys.readouterr().err
    assert train(*more) == 0
    after = read(work / 'epoch_2.pth')['state_dict']
    assert [name for name in backbone if not torch.equal(before[name], after[name])] == []


def test_the_config_that_a_run_leaves_starts_goes_on_and_tests(family, folder, trained, tmp_path):
    if family != 'retinanet':
        pytest.skip('the same for all')
    still = ['optim_wrapper.optimizer.lr=0.0']
    assert run(family, folder, 'after', tmp_path / 'a', '--load-from', trained, options=still) == 0
    left = next((tmp_path / 'a').glob('*.py'))
    assert train(left, '--work-dir', tmp_path / 'b') == 0
    first, again = (read(tmp_path / part / 'epoch_1.pth') for part in 'ab')
    assert torch.equal(*(part['state_dict']['bbox_head.retina_cls.weight'][:3] for part in (first, again)))
    assert train(left, '--resume', '--cfg-options', 'train_cfg.max_epochs=2') == 0
    assert test_command.main([str(left), str(tmp_path / 'a' / 'epoch_2.pth'), '--work-dir', str(tmp_path / 'c')]) == 0


def test_other_anchors_are_told_of(family, trained, folder, tmp_path, capsys):
    if family != 'retinanet':
        pytest.skip('it has no anchors')
    options = ['model.bbox_head.anchor_generator.octave_base_scale=4']
    assert run(family, folder, 'before', tmp_path, '--load-from', trained, options=options) == 0
    name = 'model.bbox_head.anchor_generator.octave_base_scale'
    says = f'It was trained with {name}=2 and goes on with 4: its boxes have to be learned anew'
    assert says in capsys.readouterr().out
