import copy
import json
import math
import sys

import pytest
from coco_tasks import random_task, reference

from mfdet.errors import InputError
from mfdet.evaluation import coco

OBJECT = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [10, 10, 40, 40]}
DATASET = {'images': [{'id': 1}], 'annotations': [OBJECT], 'categories': [{'id': 1, 'name': 'cat'}]}
RESULT = {'image_id': 1, 'category_id': 1, 'bbox': [10, 10, 40, 40], 'score': 0.5}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.fixture
def load(tmp_path):
    return lambda dataset, **options: coco.load_ground_truth(write(tmp_path / 'gt.json', dataset), **options)


@pytest.fixture(params=coco.EVALUATORS)
def evaluator(request):
    if request.param == 'faster':
        pytest.importorskip('faster_coco_eval', reason='faster-coco-eval is not installed')
    return request.param


@pytest.mark.parametrize('seed', range(4))
def test_twelve_numbers_are_pycocotools_own(load, evaluator, seed):
    dataset, results = random_task(seed)
    ground_truth = load(dataset)
    stats = coco.evaluate(ground_truth, coco.load_results(results, ground_truth), evaluator).stats
    assert tuple(stats) == coco.METRICS
    assert all(type(value) is float for value in stats.values())
    assert min(stats.values()) > 0
    assert list(stats.values()) == pytest.approx(reference(dataset, results).stats.tolist(), abs=1e-9, rel=0)


def test_per_class_numbers_are_those_of_each_class_alone(load, evaluator):
    dataset, results = random_task(5)
    per_class = coco.evaluate(load(dataset), results, evaluator).per_class
    assert [row['name'] for row in per_class] == ['cat', 'dog', 'eel', 'fox']
    assert all(type(row['AP75']) is float for row in per_class)
    for row, category in zip(per_class, dataset['categories'], strict=True):
        expected = reference(dataset, results, [category['id']]).stats
        assert [row['AP'], row['AP50'], row['AP75']] == pytest.approx(expected[:3].tolist(), abs=1e-9)
    assert per_class[3] == {'name': 'fox', 'AP': -1.0, 'AP50': -1.0, 'AP75': -1.0}  # no object of this class


def test_chosen_categories_only_and_in_the_order_asked(load, evaluator):
    dataset, results = random_task(6)
    result = coco.evaluate(load(dataset), results, evaluator, category_ids=[12, 3])
    assert list(result.stats.values()) == pytest.approx(reference(dataset, results, [3, 12]).stats.tolist(), abs=1e-9)
    everything = coco.evaluate(load(dataset), results, evaluator).per_class
    assert result.per_class == [everything[2], everything[1]]


def test_nothing_detected_is_zero_where_there_are_objects(load, evaluator):
    stats = coco.evaluate(load(DATASET), [], evaluator).stats  # one medium object
    undefined = {'APs', 'APl', 'ARs', 'ARl'}
    assert stats == {name: -1.0 if name in undefined else 0.0 for name in coco.METRICS}


@pytest.mark.parametrize(
    'dataset',
    [
        {**DATASET, 'annotations': []},
        {**DATASET, 'annotations': [{**OBJECT, 'iscrowd': 1}]},
        {'images': [], 'annotations': [], 'categories': DATASET['categories']},
        {'images': [], 'annotations': [], 'categories': []},
    ],
    ids=['no objects', 'crowds only', 'no images', 'nothing'],
)
def test_no_objects_is_undefined(load, evaluator, dataset):
    results = [RESULT] if dataset['images'] else []
    result = coco.evaluate(load(dataset), results, evaluator)
    assert set(result.stats.values()) == {-1.0}
    assert [row['AP'] for row in result.per_class] == [-1.0] * len(dataset['categories'])


def test_ids_are_only_names(load, evaluator):
    """Integers with 0 among the annotations', where pycocotools counts a match as a miss, or strings."""
    dataset, results = random_task(7)
    expected = coco.evaluate(load(dataset), results, evaluator)
    for number, annotation in enumerate(dataset['annotations']):
        annotation['id'] = number
    assert coco.evaluate(load(dataset), results, evaluator) == expected
    for entry in dataset['images'] + dataset['categories']:
        entry['id'] = f'{entry["id"]:04}'
    for entry in dataset['annotations'] + results:
        entry['image_id'], entry['category_id'] = f'{entry["image_id"]:04}', f'{entry["category_id"]:04}'
    ground_truth = load(dataset)
    assert coco.evaluate(ground_truth, coco.load_results(results, ground_truth), evaluator) == expected


def test_arguments_stay_as_they_are(load, evaluator):
    dataset, results = random_task(8)
    ground_truth = load(dataset)
    before = copy.deepcopy((ground_truth.dataset, ground_truth.anns, results))
    first = coco.evaluate(ground_truth, results, evaluator)
    assert (ground_truth.dataset, ground_truth.anns, results) == before
    assert coco.evaluate(ground_truth, results, evaluator) == first


def test_missing_area_and_iscrowd_are_filled_in_memory(tmp_path):
    path = tmp_path / 'gt.json'
    text = json.dumps({**DATASET, 'annotations': [OBJECT, {**OBJECT, 'id': 2, 'area': 7.5, 'iscrowd': 1}]})
    anns = coco.load_ground_truth(write(path, text)).anns
    assert (anns[1]['area'], anns[1]['iscrowd']) == (1600, 0)
    assert (anns[2]['area'], anns[2]['iscrowd']) == (7.5, 1)
    assert path.read_text() == text


def test_nothing_is_printed(load, evaluator, capfd):
    ground_truth = load(DATASET)
    coco.evaluate(ground_truth, coco.load_results([RESULT], ground_truth), evaluator)
    assert capfd.readouterr().out == ''


def test_unlabelled_file_only_when_asked_for(load):
    dataset = {'images': DATASET['images'], 'categories': DATASET['categories']}
    assert load(dataset, unlabelled=True).anns == {}
    assert load(DATASET, unlabelled=True).anns.keys() == {1}
    with pytest.raises(InputError, match="no list 'annotations'"):
        load(dataset)


def annotated(**fields):
    return {**DATASET, 'annotations': [OBJECT, {**OBJECT, 'id': 2, **fields}]}


def without(field, entry):
    return {key: value for key, value in entry.items() if key != field}


CATEGORIES = DATASET['categories']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"images": [', 'is not a JSON file'),
        ([], "no list 'images'"),
        (without('images', DATASET), "no list 'images'"),
        ({**DATASET, 'annotations': {}}, "no list 'annotations'"),
        (without('categories', DATASET), "no list 'categories'"),
        ({**DATASET, 'images': [1]}, r'images\[0\]: must be an object, not int'),
        ({**DATASET, 'images': [{}]}, r"images\[0\]: has no 'id'"),
        ({**DATASET, 'images': [{'id': 1.5}]}, r"images\[0\]: 'id' must be an integer or a string, not 1.5"),
        ({**DATASET, 'images': [{'id': True}]}, r"images\[0\]: 'id' must be an integer or a string, not True"),
        ({**DATASET, 'images': [{'id': 1}, {'id': 1}]}, r"images\[1\]: 'id' 1 is taken"),
        ({**DATASET, 'categories': [*CATEGORIES, {'id': 1, 'name': 'dog'}]}, r"categories\[1\]: 'id' 1 is taken"),
        ({**DATASET, 'categories': [*CATEGORIES, {'id': 2, 'name': 'cat'}]}, r"categories\[1\]: 'name' 'cat' is taken"),
        ({**DATASET, 'categories': [{'id': 1}]}, r"categories\[0\]: has no 'name'"),
        ({**DATASET, 'categories': [{'id': 1, 'name': 3}]}, r"categories\[0\]: 'name' must be a string, not 3"),
        (annotated(id=1), r"annotations\[1\]: 'id' 1 is taken"),
        (annotated(image_id=2), r"annotations\[1\]: 'image_id' 2 is not among the ground truth's images"),
        (annotated(image_id=1.0), r"annotations\[1\]: 'image_id' 1.0 is not"),
        (annotated(image_id=[1]), r"annotations\[1\]: 'image_id' \[1\] is not"),
        (annotated(category_id='1'), r"annotations\[1\]: 'category_id' '1' is not among the ground truth's categories"),
        ({**DATASET, 'annotations': [without('bbox', OBJECT)]}, r"annotations\[0\]: has no 'bbox'"),
        (annotated(bbox=None), r"annotations\[1\]: 'bbox' must be four finite numbers"),
        (annotated(bbox=[1, 2, 3]), r"annotations\[1\]: 'bbox' must be"),
        (annotated(bbox=[1, 2, 3, -4]), r"annotations\[1\]: 'bbox' must be .* not \[1, 2, 3, -4\]"),
        (annotated(bbox=[1, 2, 3, math.inf]), r"annotations\[1\]: 'bbox' must be"),
        (annotated(bbox=[1, 2, 3, '4']), r"annotations\[1\]: 'bbox' must be"),
        (annotated(bbox=[1, 2, 10**200, 10**200]), r"annotations\[1\]: 'bbox' must be .*, none beyond 1e\+09, not"),
        (annotated(bbox=[1, -1e200, 3, 4]), r"annotations\[1\]: 'bbox' must be .*, none beyond 1e\+09, not"),
        (
            {**DATASET, 'categories': [{'id': 1, 'name': 'a\ud800'}]},
            r"must be a string without lone surrogates, not 'a\\u",
        ),
        (
            {**DATASET, 'images': [{'id': '\ud800'}]},
            r"must be an integer or a string without lone surrogates, not '\\u",
        ),
        (annotated(area=None), r"annotations\[1\]: 'area' must be a number of pixels"),
        (annotated(area=-1), r"annotations\[1\]: 'area' must be a number of pixels"),
        (annotated(iscrowd=2), r"annotations\[1\]: 'iscrowd' must be 0 or 1, not 2"),
    ],
)
def test_malformed_ground_truth_is_refused(tmp_path, content, message):
    path = write(tmp_path / 'gt.json', content)
    with pytest.raises(InputError, match=message) as error:
        coco.load_ground_truth(path)
    assert str(error.value).startswith(path + ': ')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('nothing', 'is not a JSON file'),
        ({'annotations': []}, 'must hold a list of detections, not dict'),
        ([RESULT, 3], r'results\[1\]: must be an object, not int'),
        *(([RESULT, without(field, RESULT)], rf"results\[1\]: has no '{field}'") for field in RESULT),
        ([{**RESULT, 'image_id': 9}], r"results\[0\]: 'image_id' 9 is not among the ground truth's images"),
        ([{**RESULT, 'category_id': 9}], r"results\[0\]: 'category_id' 9 is not among the ground truth's categories"),
        ([{**RESULT, 'bbox': [1, 2, 3, 4, 5]}], r"results\[0\]: 'bbox' must be four finite numbers"),
        ([{**RESULT, 'bbox': [1, math.nan, 3, 4]}], r"results\[0\]: 'bbox' must be"),
        ([{**RESULT, 'bbox': [1, 2, -3, 4]}], r"results\[0\]: 'bbox' must be"),
        ([{**RESULT, 'bbox': [1, 2, 1e200, 1e200]}], r"results\[0\]: 'bbox' must be .*, none beyond 1e\+09, not"),
        ([{**RESULT, 'score': math.nan}], r"results\[0\]: 'score' must be a finite number, not nan"),
        ([{**RESULT, 'score': '0.5'}], r"results\[0\]: 'score' must be a finite number, not '0.5'"),
        ([{**RESULT, 'score': None}], r"results\[0\]: 'score' must be"),
    ],
)
def test_malformed_results_are_refused(tmp_path, load, content, message):
    path = write(tmp_path / 'results.json', content)
    with pytest.raises(InputError, match=message) as error:
        coco.load_results(path, load(DATASET))
    assert str(error.value).startswith(path + ': ')


def test_results_from_a_list_or_a_file_are_the_entries_themselves(tmp_path, load):
    ground_truth = load(DATASET)
    entries = [{**RESULT, 'note': 'kept'}]
    assert coco.load_results(entries, ground_truth) is entries
    assert coco.load_results(write(tmp_path / 'results.json', entries), ground_truth) == entries
    assert coco.load_results([], ground_truth) == []
    with pytest.raises(InputError, match=r"^results\[0\]: has no 'score'"):
        coco.load_results([without('score', RESULT)], ground_truth)


def test_files_that_are_not_there(tmp_path, load):
    missing = str(tmp_path / 'none.json')
    with pytest.raises(InputError, match=r'none\.json: cannot be read: No such file'):
        coco.load_ground_truth(missing)
    with pytest.raises(InputError, match=r'none\.json: cannot be read: No such file'):
        coco.load_results(missing, load(DATASET))
    with pytest.raises(InputError, match='cannot be read: Is a directory'):
        coco.load_ground_truth(str(tmp_path))


def test_unknown_or_missing_evaluator(load, monkeypatch):
    with pytest.raises(InputError, match="must be 'pycocotools' or 'faster', not 'slow'"):
        coco.evaluate(load(DATASET), [RESULT], 'slow')
    monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
    with pytest.raises(InputError, match='pip install faster-coco-eval'):
        coco.evaluate(load(DATASET), [RESULT], 'faster')


def test_tables():
    stats = dict(zip(coco.METRICS, [0.1234, 0.5, 0.25, -1.0, 0, 1, 0.125, 0.2, 0.3, -1.0, 0, 1], strict=True))
    per_class = [
        {'name': 'hippopotamus', 'AP': 0.1234, 'AP50': 0.5, 'AP75': 0.25},
        {'name': 'ox', 'AP': -1.0, 'AP50': -1.0, 'AP75': -1.0},
    ]
    result = coco.CocoResult(stats, per_class)
    assert coco.format_table(result).splitlines() == [
        'metric  IoU        area    detections   value',
        'AP      0.50:0.95  all            100   0.123',
        'AP50    0.50       all            100   0.500',
        'AP75    0.75       all            100   0.250',
        'APs     0.50:0.95  small          100  -1.000',
        'APm     0.50:0.95  medium         100   0.000',
        'APl     0.50:0.95  large          100   1.000',
        'AR1     0.50:0.95  all              1   0.125',
        'AR10    0.50:0.95  all             10   0.200',
        'AR100   0.50:0.95  all            100   0.300',
        'ARs     0.50:0.95  small          100  -1.000',
        'ARm     0.50:0.95  medium         100   0.000',
        'ARl     0.50:0.95  large          100   1.000',
    ]
    assert coco.format_per_class(result).splitlines() == [
        'class             AP    AP50    AP75',
        'hippopotamus   0.123   0.500   0.250',
        'ox            -1.000  -1.000  -1.000',
    ]
