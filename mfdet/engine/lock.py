"""One training at a time in a work directory."""

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
import time

from mfdet.errors import InputError
from mfdet.files import machine, remove_left_parts

try:
    import fcntl
except ImportError:  # Windows: heartbeats alone tell
    fcntl = None

NAME = '.lock'
WRITTEN = ('.pth', '.summary.json', '.curves.png')  # what only the training of a work directory writes there
HEARTBEAT = 10  # seconds between two signs of life
SILENCE = 35  # seconds without one after which a training is taken for dead; NFS shows one late


@contextlib.contextmanager
def locked(folder):
    """Keep a work directory for this process, and remove what a killed training has left half-written there.

    A POSIX record lock says whether another process holds the folder: the kernel lets go of it when the process ends,
    however that happens, the workers that it forked do not inherit it (they would with ``flock``), and NFS carries it
    to other machines. Where it cannot be had, or may hold on one machine alone (NFS mounted with ``nolock``, Lustre
    with ``localflock``), signs of life do: the holder touches the file, and who comes from another machine watches
    it, by the clock of the file system. A process that was suspended for longer than ``SILENCE`` there loses its lock.

    Args:
        folder: the work directory, which exists.

    Raises:
        InputError: another training is at work there; says which.
    """
    path = os.path.join(folder, NAME)
    try:
        file = _open_locked(path, folder)
    except OSError as error:
        raise InputError(f'{path}: cannot be locked: {error.strerror}; name another --work-dir') from error
    mine, done = _read(file), threading.Event()
    heart = threading.Thread(target=_beat, args=(path, done), daemon=True)
    try:
        heart.start()
        remove_left_parts(folder, WRITTEN)
        yield
    finally:
        done.set()
        heart.join()
        with contextlib.suppress(OSError):  # a network folder may have gone
            if _same(file, path) and _read(file) == mine:
                os.remove(path)
        os.close(file)


def _open_locked(path, folder):
    """Return the descriptor of the lock file, in which this process stands."""
    while True:
        try:
            file, new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                file, new = os.open(path, os.O_RDWR), False
            except FileNotFoundError:  # its holder has ended just now
                continue
        try:
            free = _lock(file)
            holder = _read(file)
            if free is False:
                raise _refusal(folder, holder)
            if not new and not (free and holder.get('machine') == machine()):
                _watch(path, file, folder, holder)
            if _same(file, path):
                try:
                    _write(file)
                except OSError:  # the disk is full
                    os.remove(path)
                    raise
                if not new:
                    print(f'warning: {_named(holder)} did not end by itself; its lock is taken over', file=sys.stderr)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(file):
    """Lock an open file; returns whether that was possible, None if the file system or platform has no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _watch(path, file, folder, holder):
    """Return when the holder of a lock has shown no sign of life for long enough, or has ended.

    Raises:
        InputError: it has shown one.
    """
    last = os.fstat(file).st_mtime_ns
    with tempfile.TemporaryFile(dir=folder) as probe:  # made by the clock of the file system
        age = (os.fstat(probe.fileno()).st_mtime_ns - last) / 1e9
    if age > SILENCE:
        return
    print(f'{_named(holder)} may be at work in {folder}: watching it for {SILENCE} s', file=sys.stderr)
    end = time.monotonic() + SILENCE
    while time.monotonic() < end and _same(file, path):
        time.sleep(SILENCE / 35)
        if os.fstat(file).st_mtime_ns != last:
            raise _refusal(folder, holder)


def _same(file, path):
    """Tell whether an open file still stands at its path."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _read(file):
    """Return what a holder has written into the lock file, an empty dict if it has not."""
    try:
        holder = json.loads(os.pread(file, 1000, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _write(file):
    since = time.strftime('%Y-%m-%d %H:%M:%S')
    holder = dict(pid=os.getpid(), host=socket.gethostname(), since=since, machine=machine())
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(holder).encode(), 0)
    os.fsync(file)


def _beat(path, done):
    while not done.wait(HEARTBEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def _named(holder):
    if not holder:
        return 'another training'
    return f'the training of process {holder.get("pid")} on {holder.get("host")}, begun at {holder.get("since")},'


def _refusal(folder, holder):
    return InputError(f'{folder} is in use by {_named(holder)} which is still at work; name another --work-dir')
