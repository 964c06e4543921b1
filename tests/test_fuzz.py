"""Whatever is in a file, reading it ends well or with one sentence."""

import contextlib
import json
import string

import pytest
import torch

from mfdet.data.check import check_annotations, read_annotations, summarize
from mfdet.data.coco import MfdetCocoDataset, read_categories
from mfdet.engine.checkpoint import check_resumable, checkpoint_classes
from mfdet.errors import InputError
from mfdet.evaluation.coco import load_ground_truth, load_results
from mfdet.weights import read_checkpoint, state_dict_of

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
NUMBERS = st.one_of(st.integers(-3, 60), st.floats(), st.integers())
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(string.printable, max_size=6))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
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
IDS = st.one_of(
    st.integers(0, 3), SCALARS, st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=1), SCALARS)
)
PARTS = dict(
    images=entries(id=IDS, file_name=st.sampled_from('ab') | IDS, width=NUMBERS, height=NUMBERS),
    categories=entries(id=IDS, name=st.sampled_from('xyz') | IDS),
    annotations=entries(id=IDS, image_id=IDS, category_id=IDS, bbox=BOX, area=NUMBERS | IDS, iscrowd=IDS),
)
COCO = st.fixed_dictionaries(PARTS) | st.fixed_dictionaries({}, optional={k: v | ANYTHING for k, v in PARTS.items()})


@EXAMPLES
@given(COCO | ANYTHING)
def test_annotation_files(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    with one_sentence('a.json'):
        read = read_annotations(str(path))
        problems = check_annotations(read, 'a.json')
        summarize(read)
        assert all(str(problem) for problem in problems)
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


TENSORS = st.sampled_from([torch.zeros(2), torch.ones(1, 3), torch.tensor(5)])
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
        state_dict_of(checkpoint, str(path))
        check_resumable(str(path))
