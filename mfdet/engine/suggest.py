"""A config to start from, suggested by what a data set holds and what the machine has."""

import collections
import dataclasses
import math
import os
import statistics
from pathlib import Path

import numpy as np

from mfdet.data.check import ERROR, check_annotations, read_annotations
from mfdet.data.counts import count_objects
from mfdet.errors import InputError
from mfdet.values import listed
from mfdet.weights.pretrained import PRETRAINED

CELL = 8  # of the finest map, in pixels
BYTES_PER_PIXEL = 2100  # of an image in a training step; measured with the small configs, 1544 to 2102
STEPS = 2000  # of a training from scratch; 30 to 60 epochs of 140 to 205 images, as in docs/results.md
BATCH_SIZE = 4  # that the recipes were measured with
SPLITS = dict(train=('train',), val=('val', 'valid', 'test'))  # what file names of a split contain


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """Settings of a training, and why.

    Attributes:
        base: name of the shipped config.
        start: name of the shipped weights to start from, of :data:`mfdet.weights.pretrained.PRETRAINED`; None for none.
        image_size: longer side in pixels.
        batch_size, epochs, val_interval: of the training.
        reasons: name of a setting to a sentence.
    """

    base: str
    start: str | None
    image_size: int
    batch_size: int
    epochs: int
    val_interval: int
    reasons: dict


def available_memory():
    """Return bytes that are free on the first GPU, else in the machine's memory, and the word for it."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0], 'GPU'
    lines = Path('/proc/meminfo').read_text().splitlines() if os.path.exists('/proc/meminfo') else []
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable')]
    return (free[0] if free else 4 * 2**30), 'CPU'


def suggest(counts, small, longest, memory, device):
    """Suggest settings.

    Args:
        counts: :class:`mfdet.data.counts.Counts` of the training images.
        small: √area of small objects over the longer side of their image, of :func:`look_at`.
        longest: longer side of the images in pixels, the median.
        memory: bytes that are free.
        device: ``'CPU'`` or ``'GPU'``.

    Returns:
        :class:`Suggestion`.
    """
    least, most = (192, 640) if device == 'CPU' else (320, 1024)
    most = max(least, min(most, 32 * math.ceil(longest / 32)))
    size = min(max(32 * math.ceil(2 * CELL / small / 32), least), most)
    reasons = dict(
        image_size=f'small objects have {small:.1%} of the longer side, {small * size:.0f} pixels then; {2 * CELL} are '
        'two cells of the finest map'
        + (f' ({most} is the most that is suggested here)' if size == most and small * size < 2 * CELL else '')
    )
    family = 'cpu' if size <= 224 else 'small'
    arch = dict(cpu='mf26m', small='mf151m')[family]
    if counts.most > 100 or small * size < 2 * CELL:
        head = 'retinanet'
        why = (
            f'an image has {counts.most} objects, more than 100 queries can find'
            if counts.most > 100
            else 'many objects are small even so, which RetinaNet is better at (docs/results.md)'
        )
    else:
        head, why = 'e2e_plus', 'end to end, without anchors to choose (docs/results.md)'
    reasons['base'] = f'{why}; {arch}, which is for images {"up to" if family == "cpu" else "above"} 224 pixels'
    batch_size, whole = BATCH_SIZE, size * size * BYTES_PER_PIXEL
    while batch_size > 1 and batch_size * whole > memory / 2:
        batch_size //= 2
    reasons['batch_size'] = (
        f'about {batch_size * whole / 2**30:.1f} GB of the {memory / 2**30:.0f} GB that are free on this {device}'
    )
    epochs = min(max(math.ceil(STEPS * batch_size / max(counts.images, 1)), 12), 100)
    reasons['epochs'] = f'about {epochs * counts.images // batch_size:,} steps with {counts.images} images'
    start = f'{head}_{arch}_shapes'
    start = start if start in PRETRAINED else None
    return Suggestion(f'{family}/{head}_{arch}', start, size, batch_size, epochs, max(1, epochs // 6), reasons)


def find_split(folder, split):
    """Find the annotation file and the images of a split in a folder.

    Args:
        folder: of the data set.
        split: ``'train'`` or ``'val'``.

    Returns:
        Annotation file and image folder, below ``folder``.

    Raises:
        InputError: there is no such COCO annotation file, there are several, or its images are nowhere.
    """
    root = Path(folder)
    folders = [root, *sorted(path for path in root.glob('*') if path.is_dir())]
    folders += sorted(path for path in root.glob('*/*') if path.is_dir())
    files = [path for place in folders for path in sorted(place.glob('*.json'))]
    for part in SPLITS[split]:
        found = [path for path in files if part in path.stem.lower() or part == path.parent.name.lower()]
        if found:
            break
    if len(found) != 1:
        what = f'several may be it ({listed([str(path) for path in found])})' if found else 'there is none'
        raise InputError(
            f'{folder}: no annotation file for {split} is found, {what}; name it with --{split}-ann and '
            f'--{split}-images, or make one of Pascal-VOC or YOLO files with tools/convert_dataset.py'
        )
    names = [str(image.get('file_name')) for image in read_annotations(found[0])['images'][:3]]
    for place in [found[0].parent, *folders]:
        if names and all((place / name).is_file() for name in names):
            return str(found[0].relative_to(root)), str(place.relative_to(root))
    raise InputError(
        f'{found[0]}: its images ({listed(names)}) are in no folder of {folder}; name it with --{split}-ann and '
        f'--{split}-images'
    )


def look_at(path):
    """Look at the training images of an annotation file.

    Returns:
        Their :class:`mfdet.data.counts.Counts`; √area over the longer side of the image that a tenth of the objects, or
        half of those of some class, are below; and the median longer side of the images in pixels.

    Raises:
        InputError: the file has errors, or no object.
    """
    content = read_annotations(path)
    problems = [problem for problem in check_annotations(content, path) if problem.severity == ERROR]
    if problems:
        raise InputError(
            f'{path}: {len(problems)} errors to correct first, such as {problems[0].id}: {problems[0].what}; '
            f'{problems[0].right} (tools/check_dataset.py lists all)'
        )
    counts = count_objects(content, path)
    if not counts.sides:
        raise InputError(f'{path}: has no object that is no crowd; there is nothing to learn from')
    longer = {image['id']: max(image['width'], image['height']) for image in content['images']}
    by_class = collections.defaultdict(list)
    for item in content['annotations']:
        if not item.get('iscrowd'):
            area = item['bbox'][2] * item['bbox'][3]
            by_class[item['category_id']].append(math.sqrt(area) / longer[item['image_id']])
    small = min(np.quantile(counts.sides, 0.1), *map(np.median, by_class.values()))
    return counts, float(small), statistics.median(longer.values())
