import re
import sys
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mfdet.data.shapes import CLASSES, write_coco
from mfdet.engine.config import load_config, set_num_classes

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'tools' / 'dev'))
import diagnose_queries  # noqa: E402


def save(folder, name, classes):
    config = ROOT / 'configs' / 'shapes' / f'{name}.py'
    loaded = load_config(str(config))
    set_num_classes(loaded.model, len(classes))
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(loaded.model)
    path = folder / f'{name}.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))), path)
    return [str(config), str(path)]


def test_a_row_for_the_cells_and_for_each_block(tmp_path, capsys):
    write_coco(tmp_path, 3, 0, (64, 64), 'val')
    data = [str(tmp_path / 'annotations' / 'val.json'), '--images', str(tmp_path / 'images')]
    for name, rows in (('e2e_plus_mf26m', 4), ('e2e_paper_mf26m', 5)):
        assert diagnose_queries.main([*save(tmp_path, name, list(CLASSES)), *data]) == 0
        header, *lines = capsys.readouterr().out.splitlines()
        assert header.split()[:3] == ['AP', 'AP50', 'AP75']
        assert len(lines) == rows
        for line in lines:
            values = [float(value) for value in re.findall(r'\d\.\d{3}', line)]
            assert len(values) == 6
            assert all(0 <= value <= 1 for value in values)
    assert values[4] >= values[5]


def test_other_classes(tmp_path, capsys):
    write_coco(tmp_path, 1, 0, (64, 64), 'val')
    data = [str(tmp_path / 'annotations' / 'val.json'), '--images', str(tmp_path / 'images')]
    assert diagnose_queries.main([*save(tmp_path, 'e2e_paper_mf26m', ['cat', 'dog']), *data]) == 2
    assert 'its classes are not those of' in capsys.readouterr().err
