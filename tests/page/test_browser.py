"""The page in a real browser: Chromium without a screen, which the machine must have."""

import json
import shutil
from pathlib import Path

import cv2
import pytest
from pictures import grey, video

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
WAIT = 60_000  # milliseconds


@pytest.fixture(scope='module')
def browser():
    playwright = pytest.importorskip('playwright.sync_api', reason='needs playwright: pip install playwright')
    if CHROMIUM is None:
        pytest.skip('needs a browser: apt-get install chromium')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, served):
    """A function that opens the page as a new user; at the end it is checked that nothing came from elsewhere."""
    users, requests, said = [], [], []

    def visit(width=1280):
        users.append(browser.new_context(viewport=dict(width=width, height=900)))
        page = users[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on('request', lambda request: requests.append(request.url))
        page.on('console', lambda message: said.append(message.text))
        page.goto(served[0])
        page.wait_for_selector('#line .hint')
        return page

    yield visit
    for user in users:
        user.close()
    assert requests
    assert [text for text in said if 'Content Security Policy' in text] == []  # nothing was tried either
    assert [url for url in requests if not url.startswith((served[0], 'data:', 'blob:'))] == []


def upload(page, path):
    page.set_input_files('#upload input[type=file]', path)


def line(page, text):
    """Wait until the line above the picture says a text; returns it all."""
    page.locator('#line', has_text=text).wait_for()
    return page.locator('#line').inner_text()


def score(page, value):
    box = page.locator('#score input[type=number]')
    box.fill(str(value))
    box.press('Tab')


def test_upload_slider_and_classes(visit, served, tmp_path):
    page, runs = visit(), served[1]
    before = runs['one.onnx']
    upload(page, grey(str(tmp_path / 'photo.png')))
    assert '60×40 pixels: 2 shown of 2 found\ncat 1\ndog 1\n' in line(page, 'photo.png')
    page.locator('#picture img').wait_for()
    page.locator('#table', has_text='dog').wait_for()
    assert runs['one.onnx'] == before + 1

    score(page, 0.5)
    assert 'cat 1\npreprocessing' in line(page, '1 shown of 2')
    page.locator('#table', has_text='dog').wait_for(state='hidden')
    slider = page.locator('#score input[type=range]')
    slider.focus()
    slider.press('End')
    line(page, 'nothing to show at this score')
    score(page, 0.3)
    line(page, '2 shown of 2')
    page.locator('#classes input').click()
    page.get_by_role('option', name='dog').click()
    assert 'dog 1\npreprocessing' in line(page, '1 shown of 2')
    assert runs['one.onnx'] == before + 1

    with page.expect_download() as coco:
        page.get_by_text('Boxes (COCO JSON)').click()
    assert coco.value.suggested_filename == 'photo_detections.json'
    assert [found['category_id'] for found in json.loads(Path(coco.value.path()).read_text())['annotations']] == [2]
    with page.expect_download() as picture:
        page.get_by_text('Picture (PNG)').click()
    assert picture.value.suggested_filename == 'photo_detections.png'
    assert cv2.imread(str(picture.value.path())).shape == (320, 480, 3)


def test_what_is_no_image_is_one_sentence_and_the_next_image_works(visit, tmp_path):
    page = visit()
    (tmp_path / 'text.jpg').write_text('hello')
    upload(page, str(tmp_path / 'text.jpg'))
    assert line(page, 'text.jpg').strip() == 'text.jpg: is damaged or not an image; JPEG, PNG, BMP, TIFF and WebP are'
    assert 'Traceback' not in page.content()
    upload(page, grey(str(tmp_path / 'photo.png')))
    line(page, '2 shown of 2')


def test_two_users_at_a_time_and_another_model(visit, tmp_path):
    one, two = visit(), visit(390)
    upload(one, grey(str(tmp_path / 'first.png')))
    two.locator('.gallery-item').first.click()
    line(two, 'shapes_')
    line(one, 'first.png')
    score(one, 0.5)
    assert 'first.png' in line(one, '1 shown of 2')
    assert two.evaluate('document.documentElement.scrollWidth') <= 390
    one.get_by_label('Model').click()
    one.get_by_role('option', name='two.onnx').click()
    assert '<b>bird</b> 1' in line(one, 'bird')  # a class name is text, whatever it is
    one.get_by_label('Model').click()
    one.get_by_role('option', name='broken.onnx').click()
    assert 'is no model that onnxruntime can load' in line(one, 'broken.onnx')
    assert 'cat' in line(two, 'shapes_')


def test_a_video_plays(visit, tmp_path):
    page = visit()
    page.get_by_role('tab', name='Video').click()
    page.get_by_role('button', name='Find objects').click()
    page.locator('#video_line', has_text='Drop a video first.').wait_for()
    page.set_input_files('#video_upload input[type=file]', video(str(tmp_path / 'in.mp4')))
    page.locator('#video_upload', has_text='in.mp4').wait_for()
    page.get_by_role('button', name='Find objects').click()
    page.locator('#video_line', has_text='5 of 5 frames, 6 detections').wait_for()
    page.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")
    assert page.evaluate("document.querySelector('#clip video').videoWidth") == 640  # enlarged, for its labels
    page.get_by_role('tab', name='Queries').wait_for(state='hidden')
