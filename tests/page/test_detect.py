import cv2
import numpy as np
import pytest
from tiny_model import METADATA, save_onnx

from mfdet.page.detect import choices, detect, png, summary, table, view
from mfdet.runtime import Detector
from mfdet.visualization import class_color


class Counted(Detector):
    runs = 0

    def run(self, *args):
        self.runs += 1
        return super().run(*args)


@pytest.fixture
def model(tmp_path):
    return Counted(save_onnx(tmp_path / 'model.onnx'))


@pytest.fixture
def found(model):
    return detect(model, 'model.onnx', np.full((400, 600, 3), 204, np.uint8), 'grey photo.jpg')


def test_one_run_is_seen_at_any_score_and_of_any_classes(model, found):
    assert [view(found, *query).counts for query in ((0.05,), (0.5,), (0.9,), (0.05, ['dog']), (0.05, []))] == [
        {'cat': 1, 'dog': 1},
        {'cat': 1},
        {},
        {'dog': 1},
        {'cat': 1, 'dog': 1},
    ]
    assert model.runs == 1


def test_rows_are_boxes_in_pixels_best_first(found):
    assert view(found, 0.05).rows == [['cat', 0.8, 0, 0, 600, 400], ['dog', 0.4, 0, 0, 300, 200]]
    assert [text for text, _ in choices(view(found, 0.05))] == ['1: cat 0.80', '2: dog 0.40']


def test_what_scores_least_is_not_kept(model):
    assert len(detect(model, 'm', np.full((40, 60, 3), 20, np.uint8), 'dark.png').detections) == 1  # 0.08, not 0.04


def test_picture_and_coco_hold_what_is_shown(found):
    shown = view(found, 0.5)
    picture = cv2.imdecode(np.frombuffer(png(shown.picture), np.uint8), cv2.IMREAD_COLOR)
    assert (picture == shown.picture).all()
    assert (picture[100:398, 0] == class_color(0)).all()
    assert (picture[200, 100:298] == 204).all()  # the lower side of the dog's box, which is not shown
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 600, 400], area=240000, iscrowd=0)
    assert shown.coco == dict(
        images=[dict(id=1, file_name='grey photo.jpg', width=600, height=400)],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
        annotations=[dict(annotation, score=pytest.approx(0.8, abs=1e-4))],
    )


def test_the_line_counts_and_times(found):
    line = summary(found, view(found, 0.5))
    assert '600×400 pixels: 1 shown of 2 found' in line
    assert 'cat <b>1</b>' in line
    times = view(found, 0.5).milliseconds
    assert list(times) == ['preprocessing', 'model', 'drawing']
    assert min(times.values()) > 0


def test_names_are_no_html(tmp_path):
    model = Detector(save_onnx(tmp_path / 'model.onnx', dict(METADATA, classes=['<b>', 'dog'])))
    found = detect(model, 'm', np.full((40, 60, 3), 204, np.uint8), '<img src=x>.png')
    line = summary(found, view(found, 0.05))
    assert '&lt;b&gt; <b>1</b>' in line
    assert '<img' not in line
    assert '<td>&lt;b&gt;</td><td>0.800</td><td>0.0</td>' in table(view(found, 0.05))
