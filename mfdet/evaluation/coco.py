"""COCO box evaluation of results files: read, check, evaluate, print. Needs pycocotools only, not torch.

File formats: https://cocodataset.org/#format-data and https://cocodataset.org/#format-results; the numbers:
https://cocodataset.org/#detection-eval.
"""

import contextlib
import dataclasses
import io
import numbers
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mfdet.errors import InputError
from mfdet.files import MAX_PIXELS, read_json
from mfdet.values import is_text

METRICS = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl')
EVALUATORS = ('pycocotools', 'faster')
_OBJECT = ('image_id', 'category_id', 'bbox')


@dataclasses.dataclass(frozen=True)
class CocoResult:
    """What :func:`evaluate` found; numbers are in 0..1, unrounded, and -1 where there is no ground truth of the kind.

    Attributes:
        stats: The twelve numbers, keyed and ordered as :data:`METRICS`.
        per_class: For each class ``{'name', 'AP', 'AP50', 'AP75'}``, over all areas, 100 detections an image.
        precision: float (10, 101, classes, 4) at IoU 0.50 to 0.95, at recall 0 to 1, in the order of ``per_class``,
            over all, small, medium and large areas, 100 detections an image; -1 where there is no ground truth.
    """

    stats: dict[str, float]
    per_class: list[dict]
    precision: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)


def load_ground_truth(path, unlabelled=False):
    """Read a COCO detection file into a pycocotools ``COCO`` object, with every id and box checked.

    Ids are integers or strings. A missing ``area`` or ``iscrowd`` becomes width × height or 0, in memory only.

    Args:
        path: The JSON file.
        unlabelled: Whether ``annotations`` may be absent, as in the image lists of test sets.

    Raises:
        InputError: The file cannot be read, is no COCO detection file, repeats an id or a category name, or holds an
            annotation with an unknown image or category or with a malformed box, area or iscrowd.
    """
    dataset = read_json(path)
    if unlabelled and isinstance(dataset, dict):
        dataset = {'annotations': [], **dataset}
    for section in ('images', 'annotations', 'categories'):
        if not isinstance(dataset, dict) or not isinstance(dataset.get(section), list):
            raise InputError(f"{path}: has no list '{section}', which a COCO detection file must have")

    image_ids = _unique(f'{path}: images', dataset['images'])
    category_ids = _unique(f'{path}: categories', dataset['categories'])
    _unique(f'{path}: categories', dataset['categories'], 'name')
    _unique(f'{path}: annotations', dataset['annotations'])

    annotations = []
    for where, annotation in _entries(f'{path}: annotations', dataset['annotations'], *_OBJECT):
        _check_object(where, annotation, image_ids, category_ids)
        _, _, width, height = annotation['bbox']
        annotation = {'area': width * height, 'iscrowd': 0, **annotation}
        if not _is_number(annotation['area']) or annotation['area'] < 0:
            raise InputError(f"{where}: 'area' must be a number of pixels from 0 up, not {annotation['area']!r}")
        if annotation['iscrowd'] not in (0, 1):
            raise InputError(f"{where}: 'iscrowd' must be 0 or 1, not {annotation['iscrowd']!r}")
        annotations.append(annotation)
    return _index(COCO, {**dataset, 'annotations': annotations})


def load_results(source, ground_truth):
    """Read and check detections in the COCO results format.

    Args:
        source: A JSON file, or the list that one holds. An empty list is valid.
        ground_truth: What :func:`load_ground_truth` returned.

    Returns:
        list[dict]: The entries as they are, each with at least ``image_id``, ``category_id``, ``bbox`` ([x, y, width,
        height] in pixels) and ``score``.

    Raises:
        InputError: The file cannot be read, is no list, or an entry lacks a field, names an unknown image or category,
            or has a malformed box or score.
    """
    section, entries = ('results', source) if isinstance(source, list) else (f'{source}: results', read_json(source))
    if not isinstance(entries, list):
        raise InputError(
            f'{source}: must hold a list of detections, not {type(entries).__name__}; tools/test.py --out writes one'
        )
    for where, entry in _entries(section, entries, *_OBJECT, 'score'):
        _check_object(where, entry, ground_truth.imgs, ground_truth.cats)
        if not _is_number(entry['score']):
            raise InputError(f"{where}: 'score' must be a finite number, not {entry['score']!r}")
    return entries


def get_evaluator(name):
    """Return the classes (``COCO``, ``COCOeval``) of the evaluator ``'pycocotools'`` or ``'faster'``.

    Raises:
        InputError: There is no evaluator of that name, or faster-coco-eval is not installed.
    """
    if name == 'pycocotools':
        return COCO, COCOeval
    if name != 'faster':
        raise InputError(f"evaluator must be 'pycocotools' or 'faster', not {name!r}")
    try:
        from faster_coco_eval import COCO as FasterCOCO
        from faster_coco_eval import COCOeval_faster
    except ImportError as error:
        raise InputError("evaluator 'faster' needs a package: pip install faster-coco-eval") from error
    return FasterCOCO, COCOeval_faster


def evaluate(ground_truth, results, evaluator='pycocotools', category_ids=None):
    """Compute the COCO box metrics; neither argument is changed.

    Every image of the ground truth counts, with detections or without. ``iscrowd`` regions, area ranges, IoU thresholds
    and the limits of 1, 10 and 100 detections are COCO's. Without any detection the numbers are 0.

    Args:
        ground_truth: What :func:`load_ground_truth` returned.
        results: What :func:`load_results` returned.
        evaluator: ``'pycocotools'``, or ``'faster'`` for faster-coco-eval; both give the same numbers.
        category_ids: The categories to evaluate, in the order wanted in ``per_class``; by default all, in file order.

    Returns:
        CocoResult: The twelve numbers and the average precision of each class.

    Raises:
        InputError: See :func:`get_evaluator`.
    """
    coco_class, eval_class = get_evaluator(evaluator)
    category_ids = list(ground_truth.cats) if category_ids is None else category_ids

    # Evaluators write into the entries they are given, so they get entries of their own. These are numbered from 1: an
    # annotation with id 0 would count as unmatched, and faster-coco-eval takes whole numbers only.
    images, categories = numbered(ground_truth.imgs), numbered(ground_truth.cats)

    def own(number, entry, **fields):
        ids = {'id': number, 'image_id': images[entry['image_id']], 'category_id': categories[entry['category_id']]}
        return {**ids, 'bbox': [float(value) for value in entry['bbox']], **fields}

    objects = [
        own(number, annotation, area=float(annotation['area']), iscrowd=int(annotation['iscrowd']))
        for number, annotation in enumerate(ground_truth.dataset['annotations'], 1)
    ]
    detections = [
        own(number, result, area=float(result['bbox'][2] * result['bbox'][3]), iscrowd=0, score=float(result['score']))
        for number, result in enumerate(results, 1)
    ]
    dataset = {'images': [{'id': i} for i in images.values()], 'categories': [{'id': i} for i in categories.values()]}
    evaluation = eval_class(
        _index(coco_class, {**dataset, 'annotations': objects}),
        _index(coco_class, {**dataset, 'annotations': detections}),
        'bbox',
    )
    evaluation.params.catIds = [categories[category_id] for category_id in category_ids]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    column = {number: index for index, number in enumerate(evaluation.params.catIds)}  # sorted by evaluate()
    columns = [column[categories[category_id]] for category_id in category_ids]
    precision = np.asarray(evaluation.eval['precision'])[..., -1][:, :, columns]  # of limits, 100 detections
    per_class = []
    for index, category_id in enumerate(category_ids):
        values = precision[:, :, index, 0]  # all -1 for a class without objects
        means = {'AP': values.mean(), 'AP50': values[0].mean(), 'AP75': values[5].mean()}
        name = ground_truth.cats[category_id]['name']
        per_class.append({'name': name, **{metric: float(mean) for metric, mean in means.items()}})
    stats = zip(METRICS, evaluation.stats[: len(METRICS)], strict=True)
    return CocoResult({name: float(value) for name, value in stats}, per_class, precision)


def format_table(result):
    """Return the twelve numbers of a :class:`CocoResult` as an aligned table."""
    lines = ['metric  IoU        area    detections   value']
    for name, value in result.stats.items():
        iou = {'50': '0.50', '75': '0.75'}.get(name[2:], '0.50:0.95')
        area = {'s': 'small', 'm': 'medium', 'l': 'large'}.get(name[2:], 'all')
        detections = name[2:] if name in ('AR1', 'AR10') else '100'
        lines.append(f'{name:<6}  {iou:<9}  {area:<6}  {detections:>10}  {value:6.3f}')
    return '\n'.join(lines)


def format_per_class(result):
    """Return the average precision of each class of a :class:`CocoResult` as an aligned table."""
    width = max(len(name) for name in ('class', *(row['name'] for row in result.per_class)))
    lines = [f'{"class":<{width}}      AP    AP50    AP75']
    for row in result.per_class:
        lines.append(f'{row["name"]:<{width}}  {row["AP"]:6.3f}  {row["AP50"]:6.3f}  {row["AP75"]:6.3f}')
    return '\n'.join(lines)


def _entries(section, entries, *fields):
    """Yield where each entry stands, for messages, and the entry, once it is known to have the fields."""
    for index, entry in enumerate(entries):
        where = f'{section}[{index}]'
        if not isinstance(entry, dict):
            raise InputError(f'{where}: must be an object, not {type(entry).__name__}')
        for field in fields:
            if field not in entry:
                raise InputError(f"{where}: has no '{field}'")
        yield where, entry


def _unique(section, entries, field='id'):
    """Return the set of the entries' ids (or names), each of which must be there, be well formed and differ."""
    values = set()
    for where, entry in _entries(section, entries, field):
        value = entry[field]
        if not (is_text(value) or (field == 'id' and _is_number(value, numbers.Integral))):
            kind = 'an integer or a string' if field == 'id' else 'a string'
            kind += ' without lone surrogates' if isinstance(value, str) else ''
            raise InputError(f"{where}: '{field}' must be {kind}, not {value!r}")
        if value in values:
            raise InputError(f"{where}: '{field}' {value!r} is taken by an earlier one, each must differ")
        values.add(value)
    return values


def _check_object(where, entry, image_ids, category_ids):
    """Check what annotations and detections share: image, category and box."""
    for field, ids in (('image_id', image_ids), ('category_id', category_ids)):
        value = entry[field]
        if not (isinstance(value, str) or _is_number(value, numbers.Integral)) or value not in ids:
            section = 'images' if field == 'image_id' else 'categories'
            raise InputError(f"{where}: '{field}' {value!r} is not among the ground truth's {section}")
    box = entry['bbox']
    four = isinstance(box, list | tuple) and len(box) == 4 and all(map(_is_number, box))
    if not four or min(box[2:]) < 0 or max(map(abs, box)) > MAX_PIXELS:
        raise InputError(
            f"{where}: 'bbox' must be four finite numbers [x, y, width, height], no negative size, none beyond "
            f'{MAX_PIXELS:.0e}, not {box!r}'
        )


def _is_number(value, kind=numbers.Real):
    """Whether it is a finite number; true and false are none. The comparison also rules out nan."""
    return isinstance(value, kind) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def numbered(ids):
    """Map ids to 1, 2, ... in pycocotools' order, which decides between equal scores of different images."""
    return {value: number for number, value in enumerate(sorted(ids, key=lambda v: (isinstance(v, str), v)), 1)}


def _index(coco_class, dataset):
    with contextlib.redirect_stdout(io.StringIO()):  # both print their progress
        coco = coco_class()
        coco.dataset = dataset
        coco.createIndex()
    return coco
