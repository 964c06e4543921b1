"""Whatever is in a file, reading it ends well or with one sentence."""

import contextlib
import functools
import json
import math
import re
import string
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import METADATA, save_onnx

from mfdet.commands import check_dataset, evaluate
from mfdet.data.check import check_annotations, read_annotations, summarize
from mfdet.data.coco import MfdetCocoDataset, read_categories
from mfdet.engine.checkpoint import check_resumable, checkpoint_classes
from mfdet.engine.plain_config import stored_config
from mfdet.errors import InputError
from mfdet.evaluation.coco import load_ground_truth, load_results
from mfdet.runtime import Detector
from mfdet.runtime.detector import check_threads
from mfdet.runtime.preprocessing import resized_shape
from mfdet.weights import check_state_dict, read_checkpoint, state_dict_of

hypothesis = pytest.importorskip('hypothesis')
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

# One folder for all examples: a fixture per test function is what hypothesis asks for.
EXAMPLES = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
# Of any size: beyond 64 bits, beyond float32 and float64, and those whose product or sum is.
HUGE = [2**31, 2**63, 10**9, 10**200, -(10**200), 10**400, 1e39, 1e200, -1e200, 1.7e308, 5e-324, math.inf]
NUMBERS = st.one_of(st.integers(-3, 60), st.floats(), st.integers(), st.sampled_from(HUGE))
# Any characters, so with lone surrogates and nulls; and what matplotlib takes for formulas.
ODD_TEXTS = st.text(st.characters(), max_size=5) | st.sampled_from(['\ud800', 'a\udce9', 'a\0b', '$\\x$', '\n', ''])
TEXTS = st.text(string.printable, max_size=6) | ODD_TEXTS
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)


def nested(depth):
    """Return lists in lists."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


ANYTHING = st.recursive(
    SCALARS | st.integers(10, 300).map(nested),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@contextlib.contextmanager
def one_sentence(name):
    """Let an InputError pass that names the file, and nothing else."""
    try:
        yield
    except InputError as error:
        if name not in str(error):
            pytest.fail(f'the message does not name {name}: {error}')


def entries(**fields):
    """Lists of dicts that often have the right fields, often with odd values."""
    return st.lists(st.fixed_dictionaries({}, optional=fields), max_size=4)


BOX = st.lists(NUMBERS, min_size=3, max_size=5) | ANYTHING
ODD_BOX = st.lists(NUMBERS | st.sampled_from([3, 7.5]), min_size=4, max_size=4) | st.lists(
    st.sampled_from([-1, 3, 10**200, 1e200, 1.7e308]), min_size=4, max_size=4
)
IDS = st.one_of(
    st.integers(0, 3), SCALARS, st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=1), SCALARS)
)
PARTS = dict(
    images=entries(id=IDS, file_name=st.sampled_from('ab') | TEXTS | IDS, width=NUMBERS, height=NUMBERS),
    categories=entries(id=IDS, name=st.sampled_from('xyz') | TEXTS | IDS),
    annotations=entries(id=IDS, image_id=IDS, category_id=IDS, bbox=BOX, area=NUMBERS | IDS, iscrowd=IDS),
)
COCO = st.fixed_dictionaries(PARTS) | st.fixed_dictionaries({}, optional={k: v | ANYTHING for k, v in PARTS.items()})


@EXAMPLES
@given(COCO | ANYTHING)
def test_annotation_files(tmp_path, capsys, content):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    with one_sentence('a.json'):
        read = read_annotations(str(path))
        problems = check_annotations(read, 'a.json')
        summarize(read)
        assert all(str(problem) for problem in problems)
    assert check_dataset.main([str(path)]) in (0, 1, 2)  # printing to what takes UTF-8 alone
    capsys.readouterr()
    for reader in (read_categories, load_ground_truth):
        with one_sentence('a.json'):
            reader(str(path))


@EXAMPLES
@given(COCO)
def test_data_sets(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    options = dict(ann_file=str(path), data_prefix=dict(img=''), pipeline=[])
    for allow_bad_boxes in (False, True):
        with one_sentence('a.json'):
            data = MfdetCocoDataset(**options, metainfo=dict(classes=('x', 'y')), allow_bad_boxes=allow_bad_boxes)
            assert len(data) > 0


@EXAMPLES
@given(
    st.lists(st.fixed_dictionaries({}, optional=dict(image_id=IDS, category_id=IDS, bbox=BOX, score=NUMBERS)))
    | ANYTHING
)
def test_results_files(tmp_path, content):
    truth = dict(
        images=[dict(id=1, width=9, height=9, file_name='a')],
        categories=[dict(id=1, name='x')],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 3, 3], area=9, iscrowd=0)],
    )
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(truth))
    ground_truth = load_ground_truth(str(path))
    results = tmp_path / 'r.json'
    results.write_text(json.dumps(content))
    with one_sentence('r.json'):
        load_results(str(results), ground_truth)


@EXAMPLES
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_bytes(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    for reader in (read_annotations, read_categories, load_ground_truth, read_checkpoint):
        with one_sentence('a.json'):
            reader(str(path))


@pytest.mark.filterwarnings('ignore:Glyph')
@settings(EXAMPLES, max_examples=10)
@given(st.lists(TEXTS, max_size=4), st.lists(ODD_BOX, max_size=4))
def test_plots_of_data_sets(tmp_path, names, boxes):
    content = dict(
        images=[dict(id=1, file_name='a', width=9, height=9)],
        categories=[dict(id=i, name=name) for i, name in enumerate(names)],
        annotations=[dict(id=i, image_id=1, category_id=i, bbox=box) for i, box in enumerate(boxes)],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    assert check_dataset.main([str(tmp_path / 'a.json'), '--plot', str(tmp_path / 'a.png')]) in (0, 1, 2)
    assert (tmp_path / 'a.png').stat().st_size > 1000
    (tmp_path / 'a.png').unlink()


@settings(EXAMPLES, max_examples=150)
@given(
    st.lists(TEXTS, min_size=1, max_size=3, unique=True), st.lists(ODD_BOX, max_size=3), st.lists(ODD_BOX, max_size=3)
)
def test_evaluations(tmp_path, capsys, names, objects, found):
    truth = dict(
        images=[dict(id=1)],
        categories=[dict(id=i, name=name) for i, name in enumerate(names)],
        annotations=[dict(id=i, image_id=1, category_id=0, bbox=box) for i, box in enumerate(objects)],
    )
    results = [dict(image_id=1, category_id=0, bbox=box, score=box[0]) for box in found]
    for name, content in (('truth.json', truth), ('results.json', results)):
        (tmp_path / name).write_text(json.dumps(content))
    code = evaluate.main([str(tmp_path / 'truth.json'), str(tmp_path / 'results.json'), '--per-class'])
    output = capsys.readouterr()
    assert code == (2 if output.err else 0)
    assert ('AP50' in output.out) != bool(re.match(r'error: .*/(truth|results)\.json: .*\n', output.err))


def lists(count):
    return st.lists(NUMBERS | st.sampled_from([1, math.nan, 1e39, 10**400]), min_size=count, max_size=count)


COUNTS = st.sampled_from([1, 32, 10**6, 10**9, 10**400]) | NUMBERS
METADATA_FIELDS = st.one_of(
    st.fixed_dictionaries(dict(mean=lists(3))),
    st.fixed_dictionaries(dict(std=lists(3))),
    st.fixed_dictionaries(dict(pad_divisor=COUNTS)),
    st.fixed_dictionaries(dict(fixed_size=st.lists(COUNTS, min_size=2, max_size=2))),
    st.fixed_dictionaries(
        dict(
            resize=st.fixed_dictionaries(dict(scale=st.lists(COUNTS, min_size=2, max_size=2), keep_ratio=st.just(True)))
        )
    ),
    st.fixed_dictionaries(dict(classes=st.lists(TEXTS, max_size=3))),
    st.dictionaries(st.sampled_from([*METADATA, 'fixed_size']), ANYTHING, min_size=1, max_size=2),
)


@settings(EXAMPLES, max_examples=150)
@given(METADATA_FIELDS)
def test_metadata_of_exports(tmp_path, changed):
    path = save_onnx(tmp_path / 'a.onnx', {**METADATA, **changed})
    with one_sentence('a.onnx'):
        detector = Detector(path, threads=1)
        shape = resized_shape(4, 5, detector.metadata['resize'], detector.metadata.get('fixed_size'))
        if max(*shape, detector.metadata['pad_divisor']) < 500:  # larger ones are right, and slow
            assert len(detector(np.full((4, 5, 3), 51, np.uint8))) <= 3


NUMPY = st.one_of(
    st.integers(-3, 40).map(np.int64),
    st.integers(0, 40).map(np.uint8),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.booleans().map(np.bool_),
    st.just(np.array(1)),
)


@functools.cache
def tiny_detector(folder):
    return Detector(save_onnx(Path(folder, 'a.onnx')), threads=1)


@EXAMPLES
@given(NUMPY | SCALARS, NUMPY | SCALARS, NUMPY | SCALARS)
def test_arguments_of_a_detector(tmp_path, score_thr, batch_size, threads):
    images = [np.full((4, 5, 3), value, np.uint8) for value in (0, 51)]
    count = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool) and batch_size >= 1
    score = isinstance(score_thr, int | float | np.integer | np.floating) and not isinstance(score_thr, bool)
    try:
        found = tiny_detector(str(tmp_path))(images, score_thr, batch_size)
    except InputError:
        right = count and score and 0 <= score_thr <= 1
        assert not right
    else:
        assert count
        assert score
        assert [len(item) for item in found] == [0, sum(np.float32([0.2, 0.1]) >= score_thr)]
    with contextlib.suppress(InputError):
        check_threads(threads)
        assert threads is None or (threads >= 1 and threads is not True)


@pytest.mark.parametrize('opening', ['[', '{"a":'])
def test_nesting_without_end(tmp_path, opening):
    path = tmp_path / 'a.json'
    path.write_text(opening * 200_000)
    for reader in (read_annotations, read_categories, load_ground_truth, read_checkpoint):
        with pytest.raises(InputError, match=r'a\.json'):
            reader(str(path))


TENSORS = st.sampled_from(
    [
        torch.zeros(2),
        torch.ones(1, 3),
        torch.tensor(5),
        torch.tensor([1, math.nan]),
        torch.tensor([1, 2]),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2).to_sparse(),
        torch.ones(2, dtype=torch.float64) * 1e200,
        torch.ones(2).to(torch.float8_e4m3fn),
        torch.ones(2, device='meta'),
    ]
)
CHECKPOINTS = st.dictionaries(
    st.sampled_from(['meta', 'state_dict', 'message_hub', 'optimizer', 'param_schedulers', 'x']),
    st.dictionaries(st.text(max_size=5) | st.sampled_from(['dataset_meta', 'w']), TENSORS | ANYTHING, max_size=3)
    | ANYTHING,
)


@settings(EXAMPLES, max_examples=200)
@given(CHECKPOINTS | ANYTHING, st.integers(0, 2000))
def test_checkpoints(tmp_path, content, cut):
    path = tmp_path / 'a.pth'
    torch.save(content, path)
    if cut < 700:  # torn
        path.write_bytes(path.read_bytes()[:cut])
    with one_sentence('a.pth'):
        checkpoint = read_checkpoint(str(path))
        checkpoint_classes(checkpoint, str(path))
        weights = state_dict_of(checkpoint, str(path))
        with contextlib.suppress(InputError):
            stored_config(checkpoint, str(path))
        with contextlib.suppress(InputError):
            check_state_dict(weights, {'w': torch.zeros(2)}, str(path), 'a model')
            assert weights['w'].float().isfinite().all()
        check_resumable(str(path))
