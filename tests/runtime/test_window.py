"""The window, on a display in memory."""

import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from mfdet.runtime.window import open_window

tkinter = pytest.importorskip('tkinter')
pytestmark = pytest.mark.skipif(shutil.which('Xvfb') is None, reason='needs Xvfb')


@pytest.fixture
def display(monkeypatch):
    read, write = os.pipe()
    server = subprocess.Popen(
        ['Xvfb', '-displayfd', str(write), '-screen', '0', '400x300x24'], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as file:
        monkeypatch.setenv('DISPLAY', f':{file.readline().strip()}')
    yield
    server.kill()
    server.wait()


def test_images_are_shown_until_q(display):
    with open_window('test') as window:
        window.show(np.full((100, 200, 3), (10, 20, 30), np.uint8))
        shown = window._image
        assert (shown.width(), shown.height(), shown.get(50, 50)) == (200, 100, (30, 20, 10))
        window.show(np.zeros((600, 600, 3), np.uint8))  # more than the screen
        assert window._image.height() == 270
        start = time.monotonic()
        window.show(np.zeros((60, 60, 3), np.uint8), until=start + 0.1)
        assert time.monotonic() - start > 0.09
        assert not window.closed
        window._root.focus_force()
        window._root.event_generate('<Key-q>')
        window.show(np.zeros((60, 60, 3), np.uint8), until=time.monotonic() + 60)
        assert window.closed
