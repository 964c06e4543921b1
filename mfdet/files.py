"""Files that are read, or written, as a whole or not at all."""

import contextlib
import functools
import glob
import hashlib
import json
import os
import re
import socket
import tempfile
import time

from mfdet.errors import InputError

MAX_PIXELS = 10**9  # of a coordinate: no image is as large, and areas stay within floats
IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.avi', '.mkv', '.mov', '.mp4', '.webm')


def read_json(path):
    """Read a JSON file.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: is not a JSON file: {error}') from error


def check_writable(path, option=None):
    """Check that a file can be written, before the work whose result it will hold; see also ``remove_left_parts``.

    Args:
        path: the file.
        option: the option that names it, for the message.

    Raises:
        InputError: it is a folder, or its own folder does not exist or is not writable.
    """
    name = f'{option} {path}' if option else path
    folder = os.path.dirname(path) or '.'
    if os.path.isdir(path):
        raise InputError(f'{name}: is a folder, name a file')
    if not os.path.isdir(folder):
        raise InputError(f'{name}: its folder does not exist')
    if not os.access(folder, os.W_OK):
        raise InputError(f'{name}: its folder is not writable')
    remove_left_parts(folder)


def make_folder(path, option):
    """Make a folder for results, unless it is there, and check that files can be written to it.

    What a killed process has left there half-written is removed, see :func:`remove_left_parts`.

    Args:
        path: the folder.
        option: the option that names it, for the message.

    Raises:
        InputError: they cannot.
    """
    try:
        os.makedirs(path, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise InputError(f'{option} {path} cannot be written: {error.strerror}; name another folder') from error
    remove_left_parts(path)


@functools.cache
def machine():
    """Return what tells this running machine from others that share a file system with it."""
    try:
        with open('/proc/sys/kernel/random/boot_id') as file:
            return file.read().strip()
    except OSError:
        return socket.gethostname()


@functools.cache
def _realm():
    """Return eight digits that stand for where process ids mean the same: this machine, or a container on it."""
    space = os.readlink('/proc/self/ns/pid') if os.path.exists('/proc/self/ns/pid') else ''
    return hashlib.sha256(f'{machine()} {space}'.encode()).hexdigest()[:8]


def _runs(pid):
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def remove_left_parts(folder, surely=()):
    """Remove what killed processes have left of the files that they wrote with :func:`replacing`.

    A part file goes if its process is gone; where that cannot be seen, as it was another machine's, after a day.

    Args:
        folder: where to look.
        surely: endings of names that nobody is writing there now, so that their parts go in any case.
    """
    for entry in os.scandir(folder):
        part = re.fullmatch(r'\.part\.(?:([0-9a-f]{8})-(\d+)\.)?.+', entry.name)
        if part is None:
            continue
        with contextlib.suppress(OSError):
            if (
                entry.name.endswith(surely)
                or (part[1] == _realm() and not _runs(int(part[2])))
                or (part[1] != _realm() and time.time() - entry.stat().st_mtime > 86400)
            ):
                os.remove(entry)


@contextlib.contextmanager
def replacing(path, flush=False):
    """Yield a name beside ``path`` to write to; the file stands at ``path`` once all went well, and else is removed.

    Args:
        path: the file; one that is there is replaced. Of two processes that write it, the last one's stays.
        flush: wait until it is on the disk, so that even a crash of the machine leaves it whole.

    Raises:
        InputError: it cannot be written, or was not.
    """
    folder, name = os.path.split(path)
    part = os.path.join(folder, f'.part.{_realm()}-{os.getpid()}.{name}')  # with its suffix, by which some writers go
    try:
        yield part
        if flush:
            with open(part, 'rb') as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror or error}') from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(part)


def write_file(path, data):
    """Write bytes so that the file is never seen half-written.

    Raises:
        InputError: it cannot be written.
    """
    with replacing(path) as part, open(part, 'wb') as file:
        file.write(data)


def matches_of(name):
    """Return what a name stands for: itself, or what it matches as a glob, sorted; quotes leave globs to us.

    A file whose own name looks like a glob comes first.
    """
    return [os.fspath(name)] if os.path.exists(name) else sorted(glob.glob(os.fspath(name), recursive=True))


def images_below(folder):
    """Return the paths of the image files in a folder and all below it, sorted, without hidden files and folders."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith('.')]
        images = (name for name in names if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith('.'))
        found += [os.path.join(place, name) for name in images]
    return sorted(found)
