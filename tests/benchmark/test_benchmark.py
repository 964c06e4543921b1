"""tools/benchmark.py: small runs of everything it measures, so that none of it rots."""

import functools
import json
import threading
import time

import numpy as np
import pytest
import torch

from mfdet.benchmark import runtimes
from mfdet.benchmark.detectors import in_streams
from mfdet.benchmark.evaluation import generate
from mfdet.benchmark.loading import readers, write_folder
from mfdet.benchmark.runtimes import with_precisions
from mfdet.benchmark.timing import by_turns, markdown
from mfdet.commands import benchmark
from mfdet.errors import InputError
from mfdet.runtime.openvino_core import openvino_core


def run(folder, *args):
    code = benchmark.main([*map(str, args), '--repeats', '1', '--out', str(folder)])
    return code, json.loads((folder / f'{args[0]}.json').read_text())


def test_functions_are_called_by_turns():
    calls = []
    medians = by_turns({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, repeats=3, warmup=2)
    assert ''.join(calls) == 'aabb' + 'ababab'
    assert set(medians) == {'a', 'b'}
    assert min(medians.values()) >= 0


def test_processor_time_leaves_out_what_others_take():
    functions = {'busy': lambda: sum(range(1_000_000)), 'waits': lambda: time.sleep(0.02)}
    wall, cpu = (by_turns(functions, repeats=3, warmup=0, clock=clock) for clock in ('wall', 'cpu'))
    assert wall['waits'] >= 0.02 > 4 * cpu['waits']
    assert cpu['busy'] > cpu['waits']


def test_a_table_shows_what_is_missing():
    assert markdown(['a', 'b'], [dict(a=0.12345, b=1234.5), dict(a=1)]).splitlines()[2:] == [
        '| 0.123 | 1234 |',
        '| 1 | – |',
    ]


def test_latency(tmp_path):
    names = ['Mobile-Former-214M', 'MobileNetV3-Large']
    options = ['--sizes', 64, 96, '--models', *names, '--runtimes', 'eager', '--up-to', f'{names[0]}=64']
    code, report = run(tmp_path, 'latency', *options)
    assert code == 0
    *rows, larger = report['rows']
    assert (larger['model'], larger['size'], larger['ratio']) == (names[1], 96, 1)
    assert [(row['model'], row['runtime']) for row in rows] == [
        (names[0], 'straightforward'),
        (names[0], 'eager'),
        (names[1], 'eager'),
    ]
    assert rows[2]['ratio'] == 1
    assert all(row['ms'] > 0 for row in rows)
    assert rows[0]['ratio'] == pytest.approx(rows[0]['ms'] / rows[2]['ms'])
    assert (tmp_path / 'latency.png').stat().st_size > 0
    assert report['machine']['threads'] == 1
    assert 'torch' in report['machine']


def test_latency_of_exported_files(tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('openvino')
    options = ['--sizes', 64, '--models', 'MobileNetV2', '--reference', 'MobileNetV2', '--runtimes']
    pytest.importorskip('nncf')
    monkeypatch.setattr('mfdet.benchmark.runtimes.computes_in_bfloat16', lambda: True)
    precisions = ['fp32', 'int8', 'bf16', 'int8-bf16']
    code, report = run(tmp_path, 'latency', *options, 'onnxruntime', 'openvino', '--precision', *precisions)
    assert code == 0
    assert [row['runtime'] for row in report['rows']] == [
        'onnxruntime',
        'onnxruntime-int8',
        'openvino',
        'openvino-int8',
        'openvino-bf16',
        'openvino-int8-bf16',
    ]


def test_precisions_are_of_the_runtimes_that_have_them():
    pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    assert with_precisions(['eager', 'openvino'], ['int8', 'fp32']) == ['eager', 'openvino', 'openvino-int8']
    assert with_precisions(['eager', 'onnxruntime'], ['int8']) == ['onnxruntime-int8']
    assert with_precisions(['executorch', 'openvino'], ['fp32']) == ['openvino', 'executorch']


@pytest.mark.parametrize('precision', ['bf16', 'int8-bf16'])
def test_bfloat16_is_not_timed_where_it_would_be_float32(monkeypatch, precision):
    monkeypatch.setattr('mfdet.benchmark.runtimes.check_nncf', lambda: None)
    monkeypatch.setattr('mfdet.benchmark.runtimes.computes_in_bfloat16', lambda: False)
    with pytest.raises(InputError, match=f'--precision {precision}: this CPU does not compute in bfloat16'):
        with_precisions(['openvino'], [precision])


def test_limit(tmp_path):
    code, report = run(tmp_path, 'limit', '--sizes', 224, '--models', 'Mobile-Former-214M')
    assert code == 0
    (row,) = report['rows']
    assert row['MAdds G'] == pytest.approx(0.201, abs=1e-3)  # 214M without the classifier


def test_detectors(tmp_path):
    options = ['--models', 'configs/cpu/e2e_paper_mf26m.py', 'peers/detr_r50', '--shape', 64, 96, '--runtimes', 'eager']
    code, report = run(tmp_path, 'detectors', *options, '--clock', 'cpu', '--batch-size', 2)
    assert code == 0
    first, second = report['rows']
    assert [first['model'], second['model']] == ['e2e_paper_mf26m', 'detr_r50']
    assert first['ratio'] == 1
    assert first['images/s'] == pytest.approx(2000 / first['ms'])


def test_throughput_of_batches_and_streams(tmp_path, monkeypatch):
    prepared = []

    def functions_of(name, model, shape, chosen, folder, threads, batch_size):
        prepared.append((threads, batch_size))
        return {runtime: functools.partial(time.sleep, 0.001 * batch_size) for runtime in chosen}

    monkeypatch.setattr('mfdet.benchmark.detectors.functions_of', functions_of)
    monkeypatch.setattr('mfdet.commands._benchmark_checks.check_threads', lambda threads: None)  # on one core as well
    options = ['--models', 'shapes/e2e_mf26m', '--shape', 64, 96, '--runtimes', 'onnxruntime', '--threads', 2]
    code, report = run(tmp_path, 'detectors', *options, '--batch-size', 1, 3, '--streams', 1, 2)
    assert code == 0
    assert prepared == [(2, 1), (1, 1), (1, 1), (2, 3), (1, 3), (1, 3)]
    rows = report['rows']
    assert [(row['batch'], row['streams']) for row in rows] == [(1, 1), (1, 2), (3, 1), (3, 2)]
    for row in rows:
        assert row['images/s'] == pytest.approx(1000 * row['batch'] * row['streams'] / row['ms'])
        assert row['ratio'] == pytest.approx(max(other['images/s'] for other in rows) / row['images/s'])


def test_streams_run_at_once_with_a_share_of_the_threads_each():
    together, shares = threading.Barrier(3, timeout=60), []

    def functions_of_one(threads):
        shares.append(threads)
        return dict(runtime=together.wait)

    in_streams(3, 6, functions_of_one)['runtime']()  # one after the other, the first would wait for ever
    assert shares == [2, 2, 2]


def test_training(tmp_path):
    code, report = run(tmp_path, 'train', '--models', 'configs/cpu/e2e_paper_mf26m.py', '--size', 64, '--batch-size', 2)
    assert code == 0
    (row,) = report['rows']
    parts = row['data'] + row['forward'] + row['backward'] + row['optimizer']
    assert 0.9 < parts <= 1.001
    assert 0 < row['matching'] < row['forward']


def test_training_of_classifiers_at_one_size(tmp_path):
    options = ['--models', 'configs/cpu/mobile_former_26m.py', '--size', 32, 64, '--batch-size', 2]
    code, report = run(tmp_path, 'train', *options)
    assert code == 0
    (row,) = report['rows']
    assert row['precision'] == ('fp16' if torch.cuda.is_available() else 'fp32')
    assert 'matching' not in row
    assert 'Batch: 2 images of noise, 32×64, in memory' in report['notes'][0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_gpu(tmp_path):
    names, runtimes = ['shapes/e2e_mf26m', 'shapes/retinanet_mf26m'], ['eager', 'channels-last', 'cuda-graph']
    options = ['--shape', 64, 96, '--batch-size', 1, 2, '--precision', 'fp32', 'bf16', '--runtimes', *runtimes]
    code, report = run(tmp_path, 'gpu', '--models', *names, *options)
    assert code == 0
    rows = report['rows']
    assert len(rows) == 2 * 2 * 2 * 3
    assert all(row['ratio'] == 1 for row in rows[::2])
    assert all(row['kernels'] > 100 and row['busy'] > 0 for row in rows)
    assert all(0 < row['memory GB'] < 1 for row in rows)
    assert rows[3]['images/s'] == pytest.approx(1000 / rows[3]['ms'])


def test_both_evaluators_are_given_the_same(tmp_path):
    pytest.importorskip('faster_coco_eval')
    code, report = run(tmp_path, 'eval', '--images', 20, '--classes', 3)
    assert code == 0
    first, second = report['rows']
    assert first['AP'] == pytest.approx(second['AP'], abs=1e-9)
    assert 0.1 < first['AP'] < 0.9
    truth, detections = generate(20, 3)
    assert len(detections) >= 20 * 50 > len(truth['annotations'])


def test_loading(tmp_path):
    options = ['--images', 5, '--batch-size', 2, '--workers', 0, 1, '--shape', 80, 120]
    code, report = run(tmp_path, 'loading', '--config', 'configs/cpu/mobile_former_26m.py', *options)
    assert code == 0
    names = ['OpenCV, reduced', 'OpenCV, full size', 'Pillow, draft']
    rows = report['rows']
    assert [(row['reader'], row['workers']) for row in rows] == [(name, n) for n in (0, 1) for name in names]
    assert rows[3]['ratio'] == 1
    assert rows[4]['ratio'] == pytest.approx(rows[4]['images/s'] / rows[3]['images/s'])
    assert report['notes'][0].startswith('4 images a pass (generated, 120×80')


def test_readers_give_images_alike(tmp_path):
    write_folder(tmp_path, 1, (375, 500))
    (path,) = tmp_path.glob('train/*/*.jpg')
    assert 80_000 < path.stat().st_size < 140_000  # ImageNet's have about 110 kB
    images = {name: reader(dict(img_path=str(path)))['img'] for name, reader in readers(150).items()}
    reduced, full, draft = images.values()
    assert reduced.shape == draft.shape == (188, 250, 3)
    assert full.shape == (375, 500, 3)
    assert np.abs(reduced.astype(int) - draft).mean() < 2


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (['latency', '--sizes', '100'], '--sizes must be multiples of 32'),
        (['latency', '--runtimes', 'tflite'], "--runtimes: there is no 'tflite'"),
        (['latency', '--runtimes', 'eager', '--precision', 'fp32', 'int8'], '--precision int8: none of --runtimes'),
        (['latency', '--runtimes', 'onnxruntime-int8'], 'choose of eager, compile, onnxruntime, openvino'),
        (['latency', '--models', 'VGG'], '--models VGG: the backbones are Mobile-Former-508M'),
        (['latency', '--up-to', 'MobileNetV2'], '--up-to MobileNetV2: must be NAME=SIZE'),
        (['latency', '--models', 'MobileNetV2', '--up-to', 'ResNet-18=64'], 'a backbone that is timed'),
        (['latency', '--equal-accuracy', '-1'], '--equal-accuracy must be 0 or more points, got -1.0'),
        (['table', '--clock', 'cpu', '--threads', '2'], '--clock cpu adds up the time of all threads'),
        (['table', '--precision', 'int8'], '--runtimes and --precision are of what is timed; give --latency'),
        (['latency', '--runtimes', 'litert'], "--runtimes: there is no 'litert'"),
        (['detectors', '--runtimes', 'litert', '--batch-size', '2'], 'run single images; leave out --batch-size'),
        (['detectors', '--batch-size', '1', '0'], '--batch-size must be at least 1, got 0'),
        (['detectors', '--streams', '1', '2'], '--streams 2: --threads 1 cannot be shared out among them equally'),
        (['detectors', '--streams', '0'], '--streams must be at least 1, got 0'),
        (
            ['detectors', '--threads', '2', '--streams', '2', '--runtimes', 'eager', 'openvino', 'litert'],
            '--streams are of onnxruntime and openvino; leave eager and litert out of --runtimes',
        ),
        (['train', '--models', 'nowhere.py'], 'nowhere.py: no such config file'),
        (['detectors', '--models', 'cpu/detr_r50', 'peers/detr_r50'], 'two files are called alike in cpu/detr_r50'),
        (['gpu', '--runtimes', 'openvino'], "there is no 'openvino', choose of eager, channels-last, cuda-graph"),
        (['gpu', '--batch-size', '4', '0'], '--batch-size must be at least 1, got 0'),
        pytest.param(
            ['gpu'],
            'gpu needs an NVIDIA GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there'),
        ),
        pytest.param(
            ['train', '--precision', 'fp16'],
            '--precision fp16 needs a GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there'),
        ),
        (['train', '--size', '64', '64', '64'], '--size is one side or height and width, got 3 numbers'),
        (['train', '--models', 'cpu/mobile_former_26m', 'cpu/retinanet_mf26m'], 'mobile_former_26m is a classifier'),
        (['eval', '--repeats', '0'], '--repeats must be at least 1'),
        (['loading', '--workers', '-1'], '--workers must be 0 or more, got -1'),
        (['loading', '--data-root', 'nowhere'], 'nowhere/train/: no such folder of class folders'),
        (['loading', '--config', 'configs/shapes/e2e_paper_mf26m.py'], 'does not begin with LoadReducedImage'),
        (['loading', '--images', '2', '--shape', '32', '32'], '--batch-size 32: there are 2 images'),
        (['eval', '--threads', '1000'], 'threads must be a whole number'),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(options, says, capsys):
    assert benchmark.main(options) == 2
    assert says in capsys.readouterr().err


def test_openvino_holds_no_core_for_itself(tmp_path, monkeypatch):
    """Of several of one thread, each would be put on the first core."""
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('openvino')
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in 'xy')
    graph = onnx.helper.make_graph([onnx.helper.make_node('Relu', ['x'], ['y'])], 'g', [x], [y])
    opset = onnx.helper.make_opsetid('', 17)
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[opset]), tmp_path / 'm.onnx')
    core, compiled = openvino_core(), []

    class Recorder:
        read_model = staticmethod(core.read_model)

        @staticmethod
        def compile_model(*args):
            compiled.append(core.compile_model(*args))
            return compiled[-1]

    monkeypatch.setattr('mfdet.benchmark.runtimes.openvino_core', Recorder)
    inputs = dict(x=np.ones((1, 4), np.float32))
    assert runtimes.openvino(str(tmp_path / 'm.onnx'), inputs, 1)()[0].sum() == 4
    assert not compiled[0].get_property('ENABLE_CPU_PINNING')


def test_a_model_that_no_runtime_takes(tmp_path, capsys):
    options = ['--models', 'cpu/detr_r50', '--runtimes', 'litert', '--shape', '64', '64']
    assert benchmark.main(['detectors', *options, '--out', str(tmp_path)]) == 2
    assert '--models detr_r50: none of --runtimes takes it' in capsys.readouterr().err
