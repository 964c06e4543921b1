"""The page, served in this process, so that the runs of its detectors can be counted."""

import threading
import time
from collections import Counter

import pytest
from tiny_model import METADATA, save_onnx

from mfdet.page.serve import application, listen
from mfdet.runtime import Detector


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """The page's address, and a Counter of the detectors' runs by file name."""
    pytest.importorskip('gradio', reason='needs gradio: pip install "mfdet[demo]"')
    import uvicorn

    folder, runs, run = tmp_path_factory.mktemp('models'), Counter(), Detector.run

    def counted(self, *args):
        runs[self.path.rsplit('/', 1)[-1]] += 1
        return run(self, *args)

    names = save_onnx(folder / 'one.onnx'), save_onnx(folder / 'two.onnx', dict(METADATA, classes=['<b>bird</b>', 'x']))
    (folder / 'broken.onnx').write_text('no model')
    with (
        pytest.MonkeyPatch.context() as patch,
        listen('127.0.0.1', 0) as socket,
        application([*map(str, names), str(folder / 'broken.onnx')]) as app,
    ):
        patch.setattr(Detector, 'run', counted)
        server = uvicorn.Server(uvicorn.Config(app, log_level='critical', timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[socket]), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f'http://127.0.0.1:{socket.getsockname()[1]}', runs
        server.should_exit = True
        thread.join(10)
