import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pictures import grey
from scenes import box, results_of, truth_of

from mfdet.commands.report import main

ROOT = Path(__file__).parents[2]
CLASSES = ('cat <b>&', '$dog\x1b')
OBJECTS = [(1, CLASSES[0], box(0)), (1, CLASSES[1], box(150)), (2, CLASSES[0], box(200))]
DETECTIONS = [(1, CLASSES[0], box(0), 0.9), (1, CLASSES[0], box(300), 0.8), (1, CLASSES[1], box(150), 0.25)]


class Links(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.links, self.open, self.text = [], [], ''
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ('src', 'href')]
        if tag not in ('img', 'meta', 'link', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(OBJECTS, DETECTIONS)
    for i in (1, 2):
        grey(f'images/{i}.png', size=(300, 400))
    return tmp_path


def write(objects, detections):
    Path('gt.json').write_text(json.dumps(truth_of(objects, CLASSES)))
    Path('results.json').write_text(json.dumps(results_of(detections, CLASSES)))


def report(*args, out='report'):
    return main(['gt.json', 'results.json', '--out', out, *args])


def page(out='report'):
    return Links(Path(out, 'index.html').read_text(encoding='utf-8'))


def test_the_page_is_whole_and_lies_in_the_folder(capsys):
    Path('run').mkdir()
    Path('run/curves.png').write_bytes(b'png')
    assert report('--images', 'images', '--work-dir', 'run') == 0
    output = capsys.readouterr()
    assert output.out.startswith('report/index.html: AP 0.')
    assert r'Fewer than 30 objects to measure with: $dog\x1b (1), cat <b>& (2)' in output.out
    assert output.err == ''
    content = page()
    assert content.open == []  # every tag is closed
    outside = [link for link in content.links if not Path('report', link).is_file()]
    assert outside == ['https://arxiv.org/abs/2008.08115']  # a reference; nothing is loaded from there
    inside = {path.relative_to('report').as_posix() for path in Path('report').rglob('*') if path.is_file()}
    assert inside == {*content.links, 'index.html'} - {*outside}
    assert {'curves.png', 'thresholds.json', 'pictures/worst_01.jpg', 'pictures/doubtful_01.jpg'} <= inside
    assert 'cat <b>&' in content.text  # escaped
    assert r'$dog\x1b' in content.text
    for said in ('What to do', 'Fewer than 30 objects', 'Errors by kind', 'gt.json', '--work-dir run', 'mfdet '):
        assert said in content.text
    assert '<script' not in Path('report/index.html').read_text()


@pytest.fixture
def no_figures(monkeypatch):
    """They take most of the time."""
    monkeypatch.setattr('mfdet.report.write.draw_figures', lambda findings: {})


def test_thresholds_of_best_f1(no_figures):
    assert report() == 0
    assert json.loads(Path('report/thresholds.json').read_text()) == {
        'overall': 0.25,
        'classes': {CLASSES[0]: 0.9, CLASSES[1]: 0.25},
    }


def test_without_images_there_are_no_pictures_and_the_page_says_so(no_figures):
    assert report() == 0
    assert 'No pictures: the images were not given (--images).' in page().text
    assert not list(Path('report/pictures').iterdir())


def test_a_second_report_replaces_the_first(no_figures):
    assert report('--images', 'images') == 0
    write(OBJECTS, [])
    assert report('--score-thr', '0.4') == 0
    assert not list(Path('report/pictures').iterdir())
    assert not Path('report/thresholds.json').exists()
    content = page()
    assert 'There is no detection' in content.text
    assert 'at 0.400' in content.text
    assert all(Path('report', link).is_file() for link in content.links if not link.startswith('https:'))


@pytest.mark.parametrize(('objects', 'detections'), [([], DETECTIONS), ([], []), (OBJECTS, [])])
def test_nothing_on_either_side_makes_a_sensible_page(objects, detections, no_figures, capsys):
    write(objects, detections)
    assert report('--images', 'images') == 0
    assert ('There is no detection' if objects else 'The annotations hold no object') in page().text
    assert capsys.readouterr().err == ''


def test_scores_need_not_be_probabilities(no_figures):
    write(OBJECTS, [(image, name, where, 10 * score) for image, name, where, score in DETECTIONS])
    assert report() == 0
    assert 'scores are not from 0 to 1' in page().text


def test_a_missing_image_is_said_on_the_page(no_figures):
    Path('images/1.png').unlink()
    assert report('--images', 'images') == 0
    assert 'It cannot be shown: images/1.png: no such image file' in page().text


def change(name, **fields):
    content = json.loads(Path(name).read_text())
    entry = content[0] if isinstance(content, list) else content
    entry.update(fields)
    Path(name).write_text(json.dumps(content))


MISTAKES = [
    (lambda: change('results.json', image_id=7), [], "results[0]: 'image_id' 7 is not among the ground truth's images"),
    (lambda: change('results.json', category_id=7), [], "'category_id' 7 is not among the ground truth's categories"),
    (lambda: change('gt.json', images=[], annotations=[]), [], "results[0]: 'image_id' 1 is not among"),
    (lambda: change('gt.json', categories=[], annotations=[]), [], "'category_id' 1 is not among"),
    (lambda: Path('results.json').write_text('{}'), [], 'must hold a list of detections, not dict'),
    (lambda: Path('gt.json').unlink(), [], 'gt.json: cannot be read'),
    (lambda: None, ['--images', 'nowhere'], '--images nowhere: no such folder'),
    (lambda: None, ['--images', '.'], '--images .: none of the 2 images is there, such as 1.png'),
    (lambda: None, ['--score-thr', '2'], '--score-thr must be from 0 to 1'),
    (lambda: None, ['--work-dir', 'nowhere'], '--work-dir nowhere: no such folder'),
]


@pytest.mark.parametrize(('spoil', 'args', 'says'), MISTAKES)
def test_mistakes_end_with_one_sentence_and_2(spoil, args, says, capsys):
    spoil()
    assert report(*args) == 2
    output = capsys.readouterr()
    assert output.out == ''
    assert re.fullmatch(r'error: [^\n]*\n', output.err)
    assert says in output.err
    assert not Path('report').exists()


def test_an_empty_data_set_is_refused(capsys):
    Path('results.json').write_text('[]')
    change('gt.json', images=[], annotations=[])
    assert report() == 2
    assert "'images' is empty, so there is nothing to report on" in capsys.readouterr().err


def test_other_files_are_not_overwritten(capsys):
    Path('site').mkdir()
    Path('site/index.html').write_text('<p>mine</p>')
    assert report(out='site') == 2
    said = '--out site: site/index.html is there already, and no earlier report; name another folder'
    assert said in capsys.readouterr().err
    Path('run').mkdir()
    Path('run/curves.png').write_bytes(b'png')
    assert report('--work-dir', 'run', out='run') == 2
    assert 'run/curves.png is there already' in capsys.readouterr().err
    assert Path('site/index.html').read_text() == '<p>mine</p>'


def test_an_interrupted_report_says_so_and_can_be_made_again(no_figures, monkeypatch):
    from mfdet.report import write

    with monkeypatch.context() as patch:
        patch.setattr(write, 'compose', lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        assert report() == 130
    assert 'Unfinished report' in page().text
    assert report() == 0
    assert 'What to do' in page().text


def test_no_torch_is_needed(folder):
    code = (
        'import runpy, sys\n'
        'sys.modules.update(torch=None, mmcv=None, mmengine=None, mmdet=None)\n'  # importing one would fail
        f'runpy.run_path({str(ROOT / "tools" / "report.py")!r}, run_name="__main__")'
    )
    args = [str(folder / 'gt.json'), str(folder / 'results.json'), '--images', str(folder / 'images')]
    command = [sys.executable, '-c', code, *args, '--out', str(folder / 'report')]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert (folder / 'report' / 'index.html').is_file()
