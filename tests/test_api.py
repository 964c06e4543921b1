"""The few lines of Python of the README, on generated images."""

import json
from pathlib import Path

import pytest
from quick import QUICK

import mfdet
from mfdet.data.shapes import write_coco
from mfdet.errors import InputError


def as_options(pairs):
    return {key: json.loads(value.lower()) for key, value in (pair.split('=') for pair in pairs)}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    for split, count in (('train', 4), ('val', 3)):
        write_coco(root / split, count, seed=len(split), size=(64, 64), name=split)
    return mfdet.train(
        'cpu/retinanet_mf26m',
        train=('train/annotations/train.json', 'train/images'),
        val=('val/annotations/val.json', Path('val/images')),
        data_root=str(root),
        work_dir=root / 'run',
        epochs=2,
        image_size=64,
        cfg_options=as_options(QUICK),
    )


def test_a_run_is_what_its_folder_says(run):
    assert 0 <= run.ap <= 1
    assert Path(run.best).is_file()
    assert run.last.endswith('epoch_2.pth')
    assert [record['step'] for record in run.curves] == [1, 2]
    assert max(record['coco/bbox_mAP'] for record in run.curves) == pytest.approx(run.ap, abs=1e-4)
    assert mfdet.TrainingRun(run.work_dir).summary == run.summary


def test_detect_and_evaluate(run):
    root = Path(run.work_dir).parent
    detector = mfdet.load_detector(run.best)
    results = []
    for number, found in enumerate(detector.stream(root / 'val' / 'images', batch_size=2), 1):
        assert Path(found.source).parent == root / 'val' / 'images'
        results += found.to_coco(number)
    assert number == 3
    truth = root / 'val' / 'annotations' / 'val.json'
    numbers = mfdet.evaluate(truth, results)
    assert set(numbers) >= {'AP', 'AP50', 'AR100'}
    assert numbers['AP'] == pytest.approx(run.ap, abs=0.02)
    (root / 'results.json').write_text(json.dumps(results))
    assert mfdet.evaluate(truth, root / 'results.json') == numbers


def test_export(run, tmp_path):
    path = mfdet.export(run.best, tmp_path / 'detector.safetensors')
    assert len(mfdet.load_detector(path).classes) == 6
    with pytest.raises(InputError, match=r'detector\.pt: an exported file ends in \.safetensors, \.onnx, \.xml'):
        mfdet.export(run.best, tmp_path / 'detector.pt')
    with pytest.raises(InputError, match='--precision bf16 goes with --format openvino, not weights'):
        mfdet.export(run.best, tmp_path / 'other.safetensors', precision='bf16')


def test_a_training_that_was_told_to_stop_says_so(monkeypatch):
    monkeypatch.setattr('mfdet.commands.train.run', lambda args: (143, 'runs/1'))
    with pytest.raises(KeyboardInterrupt, match="told to stop; go on with resume='auto' and work_dir='runs/1'"):
        mfdet.train('cpu/retinanet_mf26m')


def test_mistakes_have_the_sentence_of_the_command(tmp_path):
    with pytest.raises(InputError, match=r'epoch: no such option; there are .*epochs'):
        mfdet.train('cpu/retinanet_mf26m', epoch=3)
    with pytest.raises(InputError, match=r"train must be \(annotation file, image folder\), got 'train.json'"):
        mfdet.train('cpu/retinanet_mf26m', train='train.json')
    with pytest.raises(InputError, match=r"--batch-size: invalid int value: '8\.0'"):
        mfdet.train('cpu/retinanet_mf26m', batch_size=8.0)
    with pytest.raises(InputError, match='cfg_options must be a dict'):
        mfdet.train('cpu/retinanet_mf26m', cfg_options=['a=1'])
    with pytest.raises(InputError, match='--on-nonfinite: invalid choice'):
        mfdet.train('cpu/retinanet_mf26m', on_nonfinite='go')
    with pytest.raises(InputError, match='--epochs must be at least 1, got 0'):
        mfdet.train('cpu/retinanet_mf26m', epochs=0)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mfdet.nothing
    with pytest.raises(InputError, match=r'summary\.json: cannot be read'):
        _ = mfdet.TrainingRun(str(tmp_path)).ap
