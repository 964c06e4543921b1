"""The page over HTTP, by gradio's own client."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import pytest
from pictures import grey, video

from mfdet.runtime.tracking import can_track

client = pytest.importorskip('gradio_client', reason='needs gradio: pip install "mfdet[demo]"')

CAT = ['cat', '0.800', '0.0', '0.0', '60.0', '40.0']
DOG = ['dog', '0.400', '0.0', '0.0', '30.0', '20.0']


@pytest.fixture
def user(served, tmp_path):
    def connect():
        return client.Client(served[0], verbose=False, analytics_enabled=False, download_files=tmp_path / 'got')

    return connect


def upload(user, path, model='one.onnx', score=0.3, classes=()):
    return user.predict(client.handle_file(path), model, score, list(classes), api_name='/detect')


def rows(result):
    table = result[-2]  # before the choice of a detection
    return [re.findall('<td>(.*?)</td>', row) for row in re.findall('<tr>(.*?)</tr>', table)[1:]]


def test_filtering_runs_no_model(served, user, tmp_path):
    runs, one = served[1], user()
    before = runs['one.onnx']
    result = upload(one, grey(str(tmp_path / 'a.png')))
    assert rows(result) == [CAT, DOG]
    assert runs['one.onnx'] == before + 1
    assert rows(one.predict(0.5, [], api_name='/filter')) == [CAT]
    assert rows(one.predict(0.3, ['dog'], api_name='/filter')) == [DOG]
    assert runs['one.onnx'] == before + 1


def test_two_users_see_their_own_images(user, tmp_path):
    one, two = user(), user()
    upload(one, grey(str(tmp_path / 'a.png')))
    upload(two, grey(str(tmp_path / 'b.png'), 102, (80, 20)))
    assert rows(one.predict(0.3, [], api_name='/filter'))[0] == CAT
    assert rows(two.predict(0.3, [], api_name='/filter'))[0] == ['cat', '0.400', '0.0', '0.0', '20.0', '80.0']


def test_another_model_runs_on_the_image_that_is_there(served, user, tmp_path):
    one = user()
    upload(one, grey(str(tmp_path / 'a.png')))
    result = one.predict('two.onnx', 0.3, api_name='/choose')
    assert [row[0] for row in rows(result)] == ['&lt;b&gt;bird&lt;/b&gt;', 'x']
    assert '&lt;b&gt;bird&lt;/b&gt; <b>1</b>' in str(result)
    assert served[1]['two.onnx'] == 1
    result = one.predict('broken.onnx', 0.3, api_name='/choose')
    assert 'broken.onnx: is no model that onnxruntime can load' in str(result)
    assert rows(result) == []


def test_what_is_no_image_is_one_sentence(user, tmp_path):
    (tmp_path / 'text.jpg').write_text('hello')
    result = upload(user(), str(tmp_path / 'text.jpg'))
    assert '<div class="problem">text.jpg: is damaged or not an image; JPEG, PNG' in str(result)
    assert 'Traceback' not in str(result)


def test_files_to_download(user, tmp_path):
    result = upload(user(), grey(str(tmp_path / 'a.png')))
    picture, coco = (part['value'] for part in result[3:5])
    assert Path(picture).name == 'a_detections.png'
    assert cv2.imread(picture).shape == (320, 480, 3)  # enlarged, for its labels
    assert Path(coco).name == 'a_detections.json'
    assert [found['bbox'] for found in json.loads(Path(coco).read_text())['annotations']] == [
        [0, 0, 60, 40],
        [0, 0, 30, 20],
    ]


def test_a_video(user, tmp_path):
    line, clip = user().predict(client.handle_file(video(str(tmp_path / 'in.mp4'))), 'one.onnx', 0.3, api_name='/video')
    assert '5 of 5 frames, 6 detections' in line
    assert 'in_detections.webm' in str(clip)


@pytest.mark.skipif(not can_track(), reason='needs trackers: pip install "mfdet[video]"')
def test_a_video_with_numbers(user, tmp_path):
    path = client.handle_file(video(str(tmp_path / 'in.mp4')))
    line, clip = user().predict(path, 'one.onnx', 0.3, True, api_name='/video')
    assert '5 of 5 frames, 6 detections' in line
    assert 'in_detections.webm' in str(clip)


def test_the_box_for_numbers_is_there_only_with_the_package(user):
    shown = next(
        one['props']['visible'] for one in user().config['components'] if one['props'].get('elem_id') == 'track'
    )
    assert shown == can_track()


def test_files_of_the_machine_are_out_of_reach(served, tmp_path):
    path = grey(str(tmp_path / 'private.png'))
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(f'{served[0]}/gradio_api/file={path}', timeout=10)
    call = f'{served[0]}/gradio_api/call/detect'  # gradio's client would upload the file
    data = json.dumps(dict(data=[dict(path=path, meta={'_type': 'gradio.FileData'}), 'one.onnx', 0.3, []])).encode()
    with urllib.request.urlopen(urllib.request.Request(call, data, {'Content-Type': 'application/json'})) as answer:
        event = json.load(answer)['event_id']
    with urllib.request.urlopen(f'{call}/{event}', timeout=20) as answer:
        assert answer.read().startswith(b'event: error')
    assert Path(path).exists()  # uploads are removed once they are read


def test_other_names_of_this_machine_are_refused(served):
    request = urllib.request.Request(served[0], headers=dict(Host='example.com'))
    with pytest.raises(urllib.error.HTTPError, match='400'):
        urllib.request.urlopen(request, timeout=10)


def test_a_file_that_is_too_large_is_refused_while_it_comes(served):
    boundary = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    body = boundary + bytes(201 * 2**20) + b'\r\n--x--\r\n'
    request = urllib.request.Request(
        f'{served[0]}/gradio_api/upload', body, {'Content-Type': 'multipart/form-data; boundary=x'}
    )
    with pytest.raises((urllib.error.HTTPError, urllib.error.URLError)) as error:
        urllib.request.urlopen(request, timeout=30)
    assert getattr(error.value, 'code', 413) == 413
