"""Images for classification in folders named after their classes, as ImageNet is laid out."""

import collections
import os

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from mfdet.data.sampling import SeededItems
from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES, images_below
from mfdet.values import listed


def _visible(folder):
    """Return the entries of a folder that are not hidden, by name.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sorted((entry for entry in os.scandir(folder) if not entry.name.startswith('.')), key=lambda e: e.name)
    except OSError as error:
        raise InputError(f'{folder}: cannot be read: {error.strerror}') from error


def read_classes(folder):
    """Return the names of the class folders in a folder, sorted.

    Raises:
        InputError: the folder is not there, or holds no class folders.
    """
    if not os.path.isdir(folder):
        raise InputError(
            f'{folder}: no such folder of class folders; --data-root names the folder that holds train/<class>/ and '
            'val/<class>/'
        )
    entries = _visible(folder)
    classes = [entry.name for entry in entries if entry.is_dir()]
    if not classes:
        images = sum(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in entries)
        found = f'{images} images that are in no class folder' if images else 'no folders'
        raise InputError(f'{folder}: holds {found}; it must hold a folder for each class, with its images')
    return classes


def check_folders(folder, classes):
    """Check that the class folders in a folder are of the classes of a model; return their names, sorted.

    Raises:
        InputError: one is not, or there are none.
    """
    found = read_classes(folder)
    unknown = [name for name in found if name not in classes]
    if unknown:
        raise InputError(
            f'{folder}: {listed(unknown)} is no class of the training, which has {len(classes)} '
            f'({listed(list(classes))}); its folders must be named as those of the training'
        )
    return found


@DATASETS.register_module()
class ImageFolders(SeededItems, BaseDataset):
    """Images in ``<data_root>/<data_prefix['img']>/<class>/``, at any depth; label ``i`` is the class ``classes[i]``.

    An item enters the pipeline as a dict with ``img_path`` and ``gt_label``.

    Args:
        metainfo: ``classes`` are those of the model, in the order of its outputs; without them, the sorted names of
            the folders. A class without a folder is allowed, a folder without a class is not.
        others: of mmengine's BaseDataset.

    Attributes:
        counts: dict of class to its number of images, in the order of the classes.

    Raises:
        InputError: a folder is missing, is not among the classes, or has no images.
    """

    def __init__(self, data_prefix=None, **others):
        super().__init__(data_prefix=dict(data_prefix or dict(img='')), **others)

    def load_data_list(self):
        """Find the images; return a dict for each."""
        folder = self.data_prefix['img']
        if 'classes' not in self._metainfo:
            self._metainfo['classes'] = tuple(read_classes(folder))
        labels = {name: label for label, name in enumerate(self._metainfo['classes'])}
        found = check_folders(folder, labels)
        data_list, self.counts = [], collections.Counter(dict.fromkeys(labels, 0))
        for name in found:
            images = images_below(os.path.join(folder, name))
            if not images:
                raise InputError(
                    f'{os.path.join(folder, name)}: holds no image ({", ".join(IMAGE_SUFFIXES)}); remove the folder or '
                    'put its images there'
                )
            self.counts[name] = len(images)
            data_list += [dict(img_path=path, gt_label=labels[name]) for path in images]
        return data_list
