"""Pascal-VOC and YOLO data sets as COCO annotation files."""

import contextlib
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from mfdet.data.check import ERROR, ORIENTATION, Problem, box_problem, upright
from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES


class _Builder:
    """Collects images, boxes and problems, and numbers them."""

    def __init__(self, classes=()):
        self.images, self.annotations, self.problems = [], [], []
        self.classes = {name: i for i, name in enumerate(classes, 1)}

    def image(self, file_name, width, height):
        self.images.append(dict(id=len(self.images) + 1, file_name=file_name, width=width, height=height))

    def box(self, file, where, name, bbox, **fields):
        """Add a box of the last image, or a problem if it is none."""
        image = self.images[-1]
        problem = box_problem(bbox, image['width'], image['height'])
        if problem:
            self.problems.append(Problem(problem[0], str(file), where, *problem[1:]))
            if problem[0] == ERROR:
                return
        category = self.classes.setdefault(name, len(self.classes) + 1)
        item = dict(id=len(self.annotations) + 1, image_id=image['id'], category_id=category, bbox=bbox)
        self.annotations.append(dict(item, area=bbox[2] * bbox[3], **{'iscrowd': 0, **fields}))

    def problem(self, file, where, what, right):
        self.problems.append(Problem(ERROR, str(file), where, what, right))

    def coco(self):
        categories = [dict(id=i, name=name) for name, i in self.classes.items()]
        return dict(images=self.images, annotations=self.annotations, categories=categories), self.problems


def _size_of(path):
    """Return (width, height) of an image file as it is shown, without decoding it; None if it is no image."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            return upright(file.size, file.getexif().get(ORIENTATION))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        return None


def voc_folders(folder, annotations=None, images=None):
    """Find the folders of a Pascal-VOC data set, ``Annotations`` and ``JPEGImages`` or others by what they hold.

    Args:
        folder: the data set.
        annotations: folder of the ``.xml`` files below it; None finds it.
        images: folder of the images below it; None finds the one with images of the same names as ``.xml`` files.

    Returns:
        The two folders, as :class:`pathlib.Path`.

    Raises:
        InputError: a folder is not there, none holds such files, or several do.
    """
    found = []
    for option, name, usual in (('annotations', annotations, 'Annotations'), ('images', images, 'JPEGImages')):
        path = Path(folder, name or usual)
        if name and not path.is_dir():
            raise InputError(f'--{option} {name}: no such folder in {folder}')
        found.append(path if path.is_dir() else None)
    stems = {path: _stems(path) for path in _folders(folder)} if None in found else {}
    if found[0] is None:
        found[0] = _only([path for path, (xml, _) in stems.items() if xml], folder, 'annotations', '.xml files')
    if found[1] is None:
        named = _stems(found[0])[0]
        having = [path for path, (_, pictures) in stems.items() if pictures]
        having = [path for path in having if stems[path][1] & named] or having
        found[1] = _only(having, folder, 'images', 'images')
    return tuple(found)


def _folders(folder):
    """Return a folder and all folders below it, sorted."""
    return sorted(Path(path) for path, _, _ in os.walk(folder))


def _stems(folder):
    """Return the names without suffix of the ``.xml`` files in a folder, and of the images, as two sets."""
    files = [path for path in Path(folder).iterdir() if path.is_file()]
    return (
        {path.stem for path in files if path.suffix == '.xml'},
        {path.stem for path in files if path.suffix.lower() in IMAGE_SUFFIXES},
    )


def _only(folders, folder, option, what):
    """Return the only one of ``folders``; raise InputError if there is none, or several."""
    if not folders:
        raise InputError(f'{folder}: no folder in it holds {what}, so it is no Pascal-VOC data set')
    if len(folders) > 1:
        names = ', '.join(str(path.relative_to(folder)) for path in folders[:5])
        raise InputError(f'{folder}: several folders in it hold {what} ({names}); name one with --{option}')
    return folders[0]


def from_voc(folder, split=None, one_based=False, annotations=None, images=None):
    """Convert a Pascal-VOC folder: ``Annotations/*.xml``, ``JPEGImages/`` and ``ImageSets/Main/<split>.txt``.

    Args:
        folder: the folder.
        split: name of an image set; None takes every XML file.
        one_based: pixels are counted from 1 and boxes include their last one, as in the original PASCAL VOC: xmin 1 and
            xmax 10 are 10 pixels from x = 0. Labelling tools write edges counted from 0, xmin 0 and xmax 10.
        annotations, images: the first two folders, see :func:`voc_folders`.

    Objects that are ``difficult`` become crowds, which neither training nor evaluation counts.

    Returns:
        COCO dict with the classes of all splits sorted by name, and a list of :class:`mfdet.data.check.Problem`: what
        was left out or is odd.

    Raises:
        InputError: the folder or the split is not there.
    """
    annotations, images = voc_folders(folder, annotations, images)
    if split is None:
        names = sorted(path.stem for path in annotations.glob('*.xml'))
    else:
        listed = Path(folder, 'ImageSets', 'Main', f'{split}.txt')
        if not listed.is_file():
            there = ', '.join(sorted(path.stem for path in listed.parent.glob('*.txt'))) or 'none'
            raise InputError(f'--split {split}: there is no {listed}; the sets are: {there}')
        names = [line.split()[0] for line in read_lines(listed)]
    if not names:
        raise InputError(f'{annotations}: holds no .xml file to convert')
    trees, problems = {}, _Builder()
    for name in names:
        path = annotations / f'{name}.xml'
        try:
            trees[path] = ElementTree.parse(path).getroot()
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
            problems.problem(path, f'image {name}', f'cannot be read as XML ({error})', 'write it again')
    builder = _Builder(voc_classes(annotations))
    builder.problems = problems.problems
    for path, root in trees.items():
        _add_voc_image(builder, path, root, images, int(one_based))
    return builder.coco()


def voc_classes(folder):
    """Return the class names of all ``.xml`` files in a folder, sorted, so that every split has the same."""
    names = set()
    for path in Path(folder).glob('*.xml'):
        with contextlib.suppress(
            OSError, ElementTree.ParseError, ValueError, LookupError
        ):  # named where it is converted
            names |= {item.findtext('name', '').strip() for item in ElementTree.parse(path).getroot().iter('object')}
    return sorted(names - {''})


def read_lines(path):
    """Return the lines of a text file that are not empty, stripped.

    Raises:
        InputError: it is no UTF-8 text.
    """
    try:
        return [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is no UTF-8 text ({error.reason})') from error


def _add_voc_image(builder, path, root, folder, first):
    """Add the image of one VOC file; ``first`` is the number of its first pixel."""
    stated = root.findtext('filename', '').strip()
    file_name = next((name for name in (stated, f'{path.stem}.jpg') if name and (folder / name).is_file()), None)
    if file_name is None:
        found = [item.name for item in folder.glob(f'{path.stem}.*') if item.suffix.lower() in IMAGE_SUFFIXES]
        if not found:
            builder.problem(path, f'image {stated!r}', f'is not in {folder}', 'every image must be there')
            return
        file_name = found[0]
    size = _size_of(folder / file_name)
    if size is None:
        builder.problem(folder / file_name, 'image', 'it is no image, or damaged', 'copy it again')
        return
    said = [root.findtext(f'size/{side}') for side in ('width', 'height')]
    if all(said) and said != [str(side) for side in size]:
        builder.problem(path, 'size', f'says {said[0]}×{said[1]}, the image is {size[0]}×{size[1]}', 'they must agree')
    builder.image(file_name, *size)
    for number, item in enumerate(root.iter('object'), 1):
        name = item.findtext('name', '').strip()
        where = f'object {number} ({name or "no name"})'
        try:
            x1, y1, x2, y2 = (float(item.findtext(f'bndbox/{key}', '')) for key in ('xmin', 'ymin', 'xmax', 'ymax'))
        except ValueError:
            builder.problem(path, where, 'has no box of four numbers', 'xmin, ymin, xmax and ymax')
            continue
        if not name:
            builder.problem(path, where, 'has no class', 'every object has a <name>')
        elif x2 + first <= x1 or y2 + first <= y1:
            builder.problem(path, where, f'box {x1:g} {y1:g} {x2:g} {y2:g} has no area', 'xmin < xmax and ymin < ymax')
        else:
            box = [x1 - first, y1 - first, x2 - x1 + first, y2 - y1 + first]
            builder.box(path, where, name, box, iscrowd=int(item.findtext('difficult', '0').strip() == '1'))


def read_yolo_classes(folder):
    """Read the class names of a YOLO folder, from ``data.yaml`` or ``classes.txt``.

    Raises:
        InputError: neither is there, or names no classes.
    """
    path = next((p for p in (Path(folder, 'data.yaml'), Path(folder, 'classes.txt')) if p.is_file()), None)
    if path is None:
        raise InputError(f'{folder}: has neither data.yaml nor classes.txt, which name the classes of a YOLO data set')
    if path.suffix == '.txt':
        names = read_lines(path)
    else:
        import yaml

        try:
            content = yaml.safe_load(path.read_text(encoding='utf-8-sig'))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f'{path}: is no YAML ({" ".join(str(error).split())})') from error
        names = content.get('names') if isinstance(content, dict) else None
        if isinstance(names, dict) and set(names) == set(range(len(names))):
            names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f'{path}: "names" must be a list of class names')
    if len(set(names)) < len(names):
        raise InputError(f'{path}: two classes have the same name; they must differ')
    return names


def from_yolo(folder, split=None):
    """Convert a YOLO folder: ``images/[split/]``, ``labels/[split/]*.txt`` and ``data.yaml`` or ``classes.txt``.

    A line of a label file is a class number and the box's centre, width and height as shares of the image.

    Args:
        folder: the folder.
        split: sub-folder of images and labels, such as ``train``; None for none.

    Returns:
        COCO dict, whose ``file_name`` is below ``images/[split/]``, and a list of problems.

    Raises:
        InputError: a folder or the class names are not there.
    """
    classes = read_yolo_classes(folder)
    images, labels = (Path(folder, kind, split or '') for kind in ('images', 'labels'))
    for path in (images, labels):
        if not path.is_dir():
            raise InputError(f'{path}: no such folder; a YOLO data set has images/ and labels/, perhaps with splits')
    files = sorted(path for path in images.rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(f'{images}: holds no images')
    builder = _Builder(classes)
    for file in files:
        size = _size_of(file)
        if size is None:
            builder.problem(file, 'image', 'it is no image, or damaged', 'copy it again')
            continue
        name = file.relative_to(images)
        builder.image(name.as_posix(), *size)
        path = labels / name.with_suffix('.txt')
        if path.is_file():
            _add_yolo_boxes(builder, path, classes, size)
    named = {Path(image['file_name']).with_suffix('.txt').as_posix() for image in builder.images}
    for path in sorted(labels.rglob('*.txt')):
        if path.relative_to(labels).as_posix() not in named and path.name != 'classes.txt':
            builder.problem(path, 'file', f'has no image in {images}', 'every label file belongs to an image')
    return builder.coco()


def _add_yolo_boxes(builder, path, classes, size):
    """Add the boxes of one label file."""
    for number, line in enumerate(path.read_text(encoding='utf-8', errors='replace').splitlines(), 1):
        if not line.strip():
            continue
        where = f'line {number}'
        parts = line.split()
        try:
            index, (cx, cy, w, h) = int(parts[0]), map(float, parts[1:])
        except ValueError:
            builder.problem(path, where, f'is {line.strip()[:80]!r}', 'it must be a class number and four numbers')
            continue
        if not 0 <= index < len(classes):
            builder.problem(path, where, f'has class {index}', f'it must be from 0 to {len(classes) - 1}')
            continue
        width, height = size
        box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
        builder.box(path, where, classes[index], [float(value) for value in box])


CONVERTERS = dict(voc=from_voc, yolo=from_yolo)
