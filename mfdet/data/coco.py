"""COCO-format data sets, with labels that follow class names rather than the order of a file."""

import cv2
from mmdet.registry import DATASETS

from mfdet.compat import quiet
from mfdet.data.check import ERROR, box_problem, check_annotations, read_annotations
from mfdet.data.sampling import SeededItems
from mfdet.errors import InputError
from mfdet.files import read_json
from mfdet.values import is_text

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

    def prepare_data(self, idx):
        """Run the pipeline for an image.

        Raises:
            InputError: OpenCV fails at it, for example because one side would be resized to nothing.
        """
        try:
            return super().prepare_data(idx)
        except cv2.error as error:
            info = self.get_data_info(idx)
            raise InputError(
                f'{info["img_path"]}: an image of {info["width"]}×{info["height"]} pixels cannot go through the '
                f"config's pipeline ({error.err} in {error.func}); leave it out"
            ) from error

    def load_data_list(self):
        """Load the annotations.

        Raises:
            InputError: the file cannot be read or is no COCO annotation file, or lacks one of the classes.
        """
        try:
            with quiet():
                data_list = super().load_data_list()
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            problems = check_annotations(read_annotations(self.ann_file), self.ann_file)
            errors = [problem for problem in problems if problem.severity == ERROR]
            if not errors:
                raise
            raise InputError(
                f'{self.ann_file}: {errors[0].id}: {errors[0].what}; {errors[0].right} '
                f'({len(errors)} such errors, tools/check_dataset.py lists all)'
            ) from error
        if len(self.cat_ids) != len(self.metainfo['classes']):
            names = {name for _, name in read_categories(self.ann_file)}
            missing = [name for name in self.metainfo['classes'] if name not in names]
            raise InputError(
                f'{self.ann_file}: category {missing[0]!r} is missing; '
                'its "categories" must list every class the model is trained on, once'
            )
        if not data_list:
            raise InputError(
                f'{self.ann_file} is no COCO annotation file with images: "images" must be a list of objects'
            )
        return data_list

    def filter_data(self):
        """Leave out images as ``filter_cfg`` says.

        Raises:
            InputError: none is left.
        """
        kept = super().filter_data()
        if not kept:
            raise InputError(
                f'{self.ann_file}: no image is left to train on: none of {len(self.data_list)} has an object of the '
                f'classes {", ".join(self.metainfo["classes"])} and the least size that filter_cfg asks for'
            )
        return kept


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
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f'{ann_file} is no COCO annotation file: "categories" must be a list of {{"id": number, "name": text}}'
        ) from error
    names = [name for _, name in categories]
    if not names or not all(map(is_text, names)) or len(set(names)) < len(names):
        raise InputError(
            f'{ann_file}: "categories" must hold at least one category, each with a name of its own, a text'
        )
    return categories
