import json

import pytest
from mmengine.config import Config

from mfdet.engine.config import check_data, load_config, set_classes, set_data
from mfdet.errors import InputError


@pytest.fixture
def config(tmp_path):
    for split in ('train', 'val'):
        categories = [dict(id=5, name='dog'), dict(id=2, name='cat')]
        (tmp_path / f'{split}.json').write_text(json.dumps(dict(images=[], annotations=[], categories=categories)))
    (tmp_path / 'images').mkdir()
    loaders = {
        f'{split}_dataloader': dict(
            dataset=dict(type='RepeatDataset', dataset=dict(type='D', data_root='data/', ann_file='a.json'))
        )
        for split in ('train', 'val', 'test')
    }
    model = dict(bbox_head=dict(num_classes=80), other=[dict(num_classes=80)])
    evaluators = dict(val_evaluator=dict(ann_file='data/a.json'), test_evaluator=[dict(ann_file='data/a.json')])
    return Config(dict(model=model, **loaders, **evaluators), cfg_text='-', filename='c.py')


def test_own_data_sets_paths_classes_and_heads(config, tmp_path):
    set_data(config, str(tmp_path), ('train.json', 'images'), ('val.json', 'images'))
    check_data(config, ('train', 'val', 'test'))
    for split, name in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = config[f'{split}_dataloader'].dataset.dataset
        assert dataset.data_root == str(tmp_path)
        assert dataset.ann_file == f'{name}.json'
        assert dataset.data_prefix == dict(img='images')
        assert dataset.metainfo.classes == ('cat', 'dog')  # by rising category id
    assert config.val_evaluator.ann_file == str(tmp_path / 'val.json')
    assert config.test_evaluator[0].ann_file == str(tmp_path / 'val.json')
    assert config.model.bbox_head.num_classes == config.model.other[0].num_classes == 2


def test_data_root_alone_keeps_names_and_classes(config, tmp_path):
    set_data(config, str(tmp_path))
    assert config.val_evaluator.ann_file == str(tmp_path / 'a.json')
    assert config.model.bbox_head.num_classes == 80


def test_classes_of_a_checkpoint(config):
    set_classes(config, ['a', 'b', 'c'])
    assert config.model.other[0].num_classes == 3
    assert config.test_dataloader.dataset.dataset.metainfo.classes == ('a', 'b', 'c')


def test_what_is_missing_is_named_with_how_to_get_coco(config, tmp_path):
    with pytest.raises(InputError, match=r'data/: no such data folder.*cocodataset'):
        check_data(config, ('train',))
    set_data(config, str(tmp_path))
    with pytest.raises(InputError, match=r'a\.json: no such annotation file for the train split.*cocodataset'):
        check_data(config, ('train',))
    set_data(config, str(tmp_path), ('train.json', 'nowhere'), ('val.json', 'images'))
    with pytest.raises(InputError, match='nowhere: no such image folder for the train split'):
        check_data(config, ('train',))


def test_generated_data_takes_no_files(config):
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset = dict(type='ShapesDataset')
    check_data(config, ('train', 'val', 'test'))
    with pytest.raises(InputError, match=r'c\.py trains on generated data \(ShapesDataset\)'):
        set_data(config, 'somewhere')


def test_load_config_names_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match=r'nowhere\.py: no such config file'):
        load_config('nowhere.py')
    path = tmp_path / 'c.py'
    path.write_text('model = dict(\n')
    with pytest.raises(InputError, match=r'c\.py is not a valid config'):
        load_config(str(path))
    path.write_text('a = 1\n')
    with pytest.raises(InputError, match=r'c\.py has no "model"'):
        load_config(str(path))
    path.write_text('model = dict(a=[1])\n')
    with pytest.raises(InputError, match='--cfg-options does not fit'):
        load_config(str(path), {'model.a.5.b': 1})
    assert load_config(str(path), {'model.b': 2}).model.b == 2
