"""mfdet init and mfdet configs."""

import re
import subprocess
import sys

import pytest

from mfdet.commands import configs, init, train
from mfdet.data.shapes import write_coco
from mfdet.engine.config import load_config

NO_WORKERS = [
    '--cfg-options',
    *(
        f'{split}_dataloader.{option}'
        for split in ('train', 'val')
        for option in ('num_workers=0', 'persistent_workers=False')
    ),
]


@pytest.fixture
def folder(tmp_path):
    for split, count in (('train', 4), ('val', 3)):
        write_coco(tmp_path / 'cells' / split, count, seed=len(split), size=(96, 64), name=split)
    return tmp_path / 'cells'


def test_the_config_trains_and_says_why(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert init.main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert 'Training: 4 images' in out
    assert f'mfdet train {folder}/detector.py' in out
    text = (folder / 'detector.py').read_text()
    for setting in ('Detector: ', 'Image size 192: ', 'Batch size 4: ', 'Epochs 100: '):
        assert f'# {setting}' in text
    assert max(map(len, text.splitlines())) < 250
    config = load_config(str(folder / 'detector.py'))
    assert config.model.bbox_head.num_classes == 6
    assert config.val_evaluator.ann_file == str(folder / 'val' / 'annotations' / 'val.json')
    code = train.main([str(folder / 'detector.py'), '--work-dir', str(tmp_path / 'run'), '--epochs', '1', *NO_WORKERS])
    assert code == 0
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


def test_a_detector_that_comes_with_the_package_is_started_from(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr('mfdet.engine.suggest.CELL', 4)  # so that no object is small
    assert init.main([str(folder)]) == 0
    assert 'starts from: e2e_plus_mf26m_shapes (E2E-MF+ with' in capsys.readouterr().out
    assert load_config(str(folder / 'detector.py')).load_from == 'e2e_plus_mf26m_shapes'
    args = ['--work-dir', str(tmp_path / 'run'), '--epochs', '1']
    assert train.main([str(folder / 'detector.py'), *args, *NO_WORKERS]) == 0
    said = capsys.readouterr().out
    assert re.search(r'Fine-tuning starts from \S+/e2e_plus_mf26m_shapes.safetensors .* weights are taken over', said)
    assert 'it knew ellipse, rectangle' in said
    weights = ['--backbone-weights', str(tmp_path / 'run' / 'epoch_1.pth')]  # goes before what the config has
    args[1] = str(tmp_path / 'other')
    assert train.main([str(folder / 'detector.py'), *args, *weights, *NO_WORKERS]) == 0
    assert 'Fine-tuning' not in capsys.readouterr().out
    text = (folder / 'detector.py').read_text()
    (folder / 'detector.py').write_text(text.replace('mf26m_shapes', 'mf26m_shape'))
    assert train.main([str(folder / 'detector.py'), *args]) == 2
    says = r'e2e_plus_mf26m_shape: no such checkpoint file \(load_from of \S+detector.py\); what comes with mfdet: '
    assert re.search(says, capsys.readouterr().err)


def test_without_torch_a_sentence_says_what_to_install(folder):
    script = (
        "import sys; sys.modules['torch'] = None; from mfdet.commands import init; sys.exit(init.main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, '-c', script, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'torch cannot be found; install' in done.stderr


def test_another_size_writes_the_pipelines(folder, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr('mfdet.engine.suggest.CELL', 28)
    assert init.main([str(folder), '--out', str(folder / 'other.py')]) == 0
    config = load_config(str(folder / 'other.py'))
    assert config.get('load_from') is None  # nothing comes with mfdet for the larger detector
    size = int(re.search(r'image size: (\d+)', capsys.readouterr().out)[1])
    assert size % 32 == 0
    assert config.test_dataloader.dataset.pipeline[1].scale == (size, size)
    assert config.train_dataloader.dataset.pipeline[3] == dict(
        type='RandomCrop', crop_size=(size, size), allow_negative_crop=True
    )


def test_mistakes_of_init(folder, tmp_path, capsys):
    for args, message in (
        ([tmp_path / 'nowhere'], 'nowhere: no such data folder'),
        ([folder, '--out', folder / 'c.txt'], 'a config ends in .py'),
        ([folder, '--train-ann', 'a.json'], '--train-ann and --train-images belong together'),
        ([tmp_path], 'no annotation file for train is found'),
    ):
        assert init.main(list(map(str, args))) == 2
        assert message in capsys.readouterr().err
    (folder / 'detector.py').write_text('mine')
    assert init.main([str(folder)]) == 2
    assert 'detector.py is there already' in capsys.readouterr().err
    assert (folder / 'detector.py').read_text() == 'mine'


def test_configs_are_listed_with_their_purpose(capsys):
    assert configs.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 40
    assert all(len(re.split(r'\s{2,}', line)) == 2 for line in lines)
    assert 'retinanet_mf508m' in [line.split()[0] for line in lines]
    assert configs.main(['shapes/ret', '--cost']) == 0
    assert 'generated shapes (1.6 M parameters, 0.0315 G MAdds at 96×96)' in capsys.readouterr().out
    assert configs.main(['yolo']) == 2
    assert 'no shipped config has yolo in its name' in capsys.readouterr().err
