"""Two trainings that want one work directory, on one machine and as if on two."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mfdet.engine import lock
from mfdet.errors import InputError

HOLD = """
import multiprocessing, sys, time
from mfdet.engine.lock import locked
with locked(sys.argv[1]):
    child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
    child.start()
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder and has forked a worker, and the worker's id."""
    process = subprocess.Popen([sys.executable, '-c', HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    worker = int(process.stdout.readline())
    yield process, worker
    process.kill()
    process.wait()
    os.kill(worker, signal.SIGKILL)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, 'HEARTBEAT', 0.05)
    monkeypatch.setattr(lock, 'SILENCE', 1)


def leave_lock(folder, **changes):
    """Leave the lock of a training that was killed, of this machine or, by ``changes``, of another."""
    holder = dict(pid=7, host='far', since='2020-01-01 00:00:00', machine=lock.machine())
    path = folder / lock.NAME
    path.write_text(json.dumps({**holder, **changes}))
    return path


def test_a_second_training_is_refused_and_a_killed_one_replaced(holder, tmp_path, capsys):
    process, _ = holder
    named = rf'in use by the training of process {process.pid} on \S+, begun at \S+ \S+, which is still at work'
    with pytest.raises(InputError, match=named), lock.locked(tmp_path):
        pass
    part = tmp_path / f'.part.00000000-{process.pid}.epoch_1.pth'
    part.touch()
    process.kill()
    process.wait()
    with lock.locked(tmp_path):  # although the forked worker is still there
        assert f'process {process.pid} on' in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == [lock.NAME]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_this_machine_that_nobody_holds_is_taken_at_once(tmp_path, capsys):
    leave_lock(tmp_path)
    start = time.monotonic()
    with lock.locked(tmp_path):
        assert time.monotonic() - start < 5
        assert json.loads((tmp_path / lock.NAME).read_text())['pid'] == os.getpid()
    assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize('locks', [True, False])
def test_the_signs_of_life_of_another_machine_are_heeded(quick, tmp_path, monkeypatch, capsys, locks):
    if not locks:  # nor does the platform have any
        monkeypatch.setattr(lock, 'fcntl', None)
    path = leave_lock(tmp_path, machine='another')
    done = threading.Event()
    heart = threading.Thread(target=lock._beat, args=(path, done), daemon=True)
    heart.start()
    named = r'process 7 on far, begun at 2020-01-01 00:00:00, which is still at work'
    with pytest.raises(InputError, match=named), lock.locked(tmp_path):
        pass
    done.set()
    heart.join()
    assert 'watching it' in capsys.readouterr().err
    start = time.monotonic()
    with lock.locked(tmp_path):  # it is silent now
        assert time.monotonic() - start >= 1
    os.utime(leave_lock(tmp_path, machine='another'), (1, 1))
    capsys.readouterr()
    with lock.locked(tmp_path):
        assert 'watching it' not in capsys.readouterr().err


def test_the_holder_shows_signs_of_life(quick, tmp_path):
    with lock.locked(tmp_path):
        before = os.stat(tmp_path / lock.NAME).st_mtime_ns
        time.sleep(0.5)
        assert os.stat(tmp_path / lock.NAME).st_mtime_ns > before


def test_a_lock_whose_holder_ends_meanwhile_is_made_anew(quick, tmp_path, capsys):
    path = leave_lock(tmp_path, machine='another')
    threading.Timer(0.3, path.unlink).start()
    with lock.locked(tmp_path):
        assert path.exists()
        assert 'taken over' not in capsys.readouterr().err


@pytest.mark.parametrize('content', ['', '[]', '{"pid": [', '\0' * 50])
def test_a_damaged_lock_is_taken_over(quick, tmp_path, content):
    path = tmp_path / lock.NAME
    path.write_text(content)
    os.utime(path, (1, 1))
    with lock.locked(tmp_path):
        assert json.loads(path.read_text())['pid'] == os.getpid()


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / lock.NAME).mkdir()
    with pytest.raises(InputError, match=r'\.lock: cannot be locked: Is a directory'), lock.locked(tmp_path):
        pass


def test_a_full_disk_is_said_and_leaves_no_lock(tmp_path, monkeypatch):
    def full(file, data, offset):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'pwrite', full)
    with pytest.raises(InputError, match=r'\.lock: cannot be locked: No space left on device'), lock.locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_has_taken_over_stays(tmp_path):
    with lock.locked(tmp_path):
        path = leave_lock(tmp_path, machine='another')
    assert json.loads(path.read_text())['host'] == 'far'
