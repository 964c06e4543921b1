"""COCO-format data sets, with labels that follow class names rather than the order of a file."""

from mmdet.registry import DATASETS

from mfdet.compat import quiet
from mfdet.data.check import box_problem
from mfdet.data.sampling import SeededItems
from mfdet.errors import InputError
from mfdet.files import read_json

with quiet():
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.api_wrappers import COCO


class _CocoByName(COCO):
    """COCO index whose category ids come in the order of the names asked for, not of the file."""

    def get_cat_ids(self, cat_names=(), sup_names=(), cat_ids=()):
        ids = super().get_cat_ids(cat_names, sup_names, cat_ids)
        if cat_names:
            names = list(cat_names)
            ids.sort(key=lambda i: names.index(self.cats[i]['name']))
        return ids


@DATASETS.register_module()
class MfdetCocoDataset(SeededItems, CocoDataset):
    """mmdet's ``CocoDataset`` in which label ``i`` is always the category named ``metainfo['classes'][i]``.

    mmdet numbers labels by the order of the categories in each annotation file, so that two files with the same
    categories in another order swap classes in silence.

    Args:
        allow_bad_boxes: leave out annotations whose box is no box with an area; others outside the image are left out
            by mmdet.
        others: of mmdet's ``CocoDataset``.
    """

    COCOAPI = _CocoByName

    def __init__(self, *args, allow_bad_boxes=False, **kwargs):
        self.allow_bad_boxes = allow_bad_boxes
        super().__init__(*args, **kwargs)

    def parse_data_info(self, raw_data_info):
        """Parse an image's annotations; a missing ``area`` is that of the box, as in the evaluation."""
        if self.allow_bad_boxes:
            kept = [item for item in raw_data_info['raw_ann_info'] if box_problem(item.get('bbox')) is None]
            raw_data_info = dict(raw_data_info, raw_ann_info=kept)
        for annotation in raw_data_info['raw_ann_info']:
            annotation.setdefault('area', annotation['bbox'][2] * annotation['bbox'][3])
        return super().parse_data_info(raw_data_info)

    def load_data_list(self):
        """Load the annotations.

        Raises:
            InputError: the file lacks one of the classes; it is named.
        """
        data_list = super().load_data_list()
        if len(self.cat_ids) != len(self.metainfo['classes']):
            names = {name for _, name in read_categories(self.ann_file)}
            missing = [name for name in self.metainfo['classes'] if name not in names]
            raise InputError(
                f'{self.ann_file}: category {missing[0]!r} is missing; '
                'its "categories" must list every class the model is trained on, once'
            )
        return data_list


def read_categories(ann_file):
    """Read the categories of a COCO annotation file.

    Args:
        ann_file: file name.

    Returns:
        list[tuple[int, str]]: (id, name), by rising id.

    Raises:
        InputError: the file is missing, no JSON, or lists no usable categories.
    """
    content = read_json(ann_file)
    try:
        categories = sorted((int(category['id']), category['name']) for category in content['categories'])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{ann_file} is no COCO annotation file: "categories" must be a list of {{"id": number, "name": text}}'
        ) from error
    names = [name for _, name in categories]
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f'{ann_file}: "categories" must hold at least one category, each with a name of its own')
    return categories
