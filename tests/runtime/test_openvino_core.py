import subprocess
import sys

from tiny_model import save_openvino

SCRIPT = """
import os, signal, sys
from mfdet.runtime import Detector
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(True))
detectors = [Detector(sys.argv[1]) for _ in range(3)]
while detectors:
    detectors.pop(0)
os.kill(os.getpid(), signal.SIGUSR1)
assert handled
print('alive')
"""


def test_a_signal_after_several_detectors_have_gone(tmp_path):
    path = save_openvino(tmp_path / 'tiny.xml')
    done = subprocess.run([sys.executable, '-c', SCRIPT, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, 'alive\n'), done.stderr
