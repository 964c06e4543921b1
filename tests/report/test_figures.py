import xml.etree.ElementTree as ET

import pytest
from scenes import box, read

from mfdet.report.figures import confused_classes, draw_figures, shown_classes
from mfdet.report.findings import analyse

NAMES = ('a<b>&"', 'Ställe 画像\x1b\x00', '$x$')
ALL = {'precision', 'classes', 'scores', 'errors', 'confusion', 'area', 'count', 'overlap', 'calibration'}
OBJECTS = [(1, NAMES[0], box(0)), (1, NAMES[1], box(150)), (2, NAMES[2], box(0, 20))]
DETECTIONS = [(1, NAMES[0], box(0), 0.9), (1, NAMES[2], box(150), 0.6), (2, NAMES[2], box(0, 20), 0.3)]


@pytest.fixture
def draw(tmp_path):
    def draw(objects, detections, classes=NAMES):
        findings = analyse(*read(tmp_path, objects, detections, classes))
        return findings, draw_figures(findings)

    return draw


def test_all_are_svg_with_the_names_as_text(draw):
    findings, figures = draw(OBJECTS, DETECTIONS)
    assert set(figures) == ALL
    assert draw_figures(findings) == figures  # they do not change from run to run
    texts = {}
    for name, data in figures.items():
        assert b'<dc:date>' not in data
        texts[name] = [
            ''.join(part.itertext()) for part in ET.fromstring(data).iter('{http://www.w3.org/2000/svg}text')
        ]
        assert texts[name]
    for name in (NAMES[0], r'Ställe 画像\x1b\x00', '$x$'):
        assert name in texts['confusion']
        assert any(text.startswith(f'{name}: ') for text in texts['classes'])


def test_what_would_be_empty_is_left_out(draw):
    assert set(draw(OBJECTS, [])[1]) == ALL - {'scores', 'calibration'}
    assert set(draw([], DETECTIONS)[1]) == {'errors', 'confusion', 'calibration'}
    assert set(draw([], [])[1]) == {'errors', 'confusion'}


def test_of_many_classes_the_worst_and_most_confused_are_shown(draw):
    names = tuple(f'class {i}' for i in range(120))
    objects = [(1, name, box(3 * i)) for i, name in enumerate(names)]
    detections = [(1, name, box(3 * i), 0.9) for i, name in enumerate(names[:40])]
    detections += [(2, 'class 7', box(0), 0.8), (1, 'class 100', box(3 * 119), 0.95)]
    findings, figures = draw(objects, detections, names)
    shown = shown_classes(findings)
    assert len(shown) == 100
    assert set(range(40, 120)) <= set(shown)
    assert len(confused_classes(findings)) == 30
    assert any(i >= 100 for i in confused_classes(findings))
    assert len(figures['confusion']) < 500_000
