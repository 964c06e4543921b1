"""The detections of a prediction as they come, a line of JSON an image, so that an interrupted one can go on."""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass

from mfdet import __version__
from mfdet.errors import InputError
from mfdet.files import replacing

JOURNAL = 'predictions.jsonl'  # its name among the results


def file_key(name, path):
    """Return what tells an input from all others and from itself in another state: name, size and time of the file.

    Raises:
        InputError: the file cannot be looked at.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    return name, stat.st_size, stat.st_mtime_ns


def hash_files(*paths):
    """Return the SHA-256 of the contents of files, as text; those that are not there count as empty."""
    digest = hashlib.sha256()
    for path in paths:
        with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@dataclass
class Record:
    """The :class:`mfdet.runtime.Detections` in an image of ``width`` × ``height`` pixels."""

    width: int
    height: int
    found: object


class Journal:
    """A file of :class:`Record`, which an interrupted run leaves for the next one.

    As a context it is removed at the end. An error, or Ctrl-C, leaves it and says so, if it holds anything.

    Args:
        path: the file.
        made_by: dict of what the detections depend on, by the option that gives it, such as ``{'--score-thr': 0.3}``.
        classes: class names.
        names: names of all inputs, the first parts of their keys, in the order of the results.

    Raises:
        InputError: the file is of a run with others of these, or is no such file.
    """

    def __init__(self, path, made_by, classes, names):
        self.path, self.classes, self.names = path, classes, list(names)
        self.records, self.used = {}, {}
        made_by = dict(mfdet=__version__, **made_by)
        if path.exists():
            self._read(made_by)
        if not self.records:
            with replacing(path) as part, open(part, 'w') as file:
                file.write(json.dumps(made_by) + '\n')
        self.file = open(path, 'a')  # noqa: SIM115, closed by __exit__
        self.file.write('\n')  # ends a line that a crash has cut off

    def _read(self, made_by):
        try:
            before, *lines = self.path.read_bytes().split(b'\n')
            before = json.loads(before)
            if 'mfdet' not in before:
                raise KeyError('mfdet')
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f'{self.path}: is no file of an interrupted prediction; remove it') from error
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):  # cut off by a crash: done again
                self._add(**json.loads(line))
        others = [name for name in {**before, **made_by} if before.get(name) != made_by.get(name)]
        gone = {name for name, *_ in self.records} - set(self.names)
        if self.records and (others or gone):
            what = f'with another {" and ".join(others)}' if others else f'on {min(gone)} too'
            raise InputError(
                f'{self.path} is of an interrupted run {what}; finish that one by its own command, name another --out, '
                'or remove this file to start anew'
            )

    def _add(self, key, width, height, boxes, scores, labels):
        import numpy as np

        from mfdet.runtime import Detections

        names = [self.classes[label] for label in labels]
        found = Detections(np.float32(boxes).reshape(-1, 4), np.float32(scores), np.int64(labels), names)
        self.records[tuple(key)] = Record(width, height, found)

    def add(self, key, image, found):
        """Keep what was found in an image (H, W, 3); it is in the file when this returns."""
        height, width = image.shape[:2]
        self.records[key] = Record(width, height, found)
        rows = {name: getattr(found, name).tolist() for name in ('boxes', 'scores', 'labels')}
        self.file.write(json.dumps(dict(key=key, width=width, height=height, **rows)) + '\n')
        self.file.flush()

    def use(self, key):
        """Count an input among the results; returns what was found in it."""
        self.used[key] = None
        return self.records[key].found

    def results(self):
        """Return (key, :class:`Record`) of the inputs used, in the order of their names, and of use within a name."""
        place = {name: i for i, name in enumerate(self.names)}
        return [(key, self.records[key]) for key in sorted(self.used, key=lambda key: place[key[0]])]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        with contextlib.suppress(OSError):  # the disk is full, as `error` says
            self.file.close()
        if error is None or not self.records:
            self.path.unlink(missing_ok=True)
            return
        kept = f'what was found in {len(self.records)} images is kept in {self.path}: the same command goes on'
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise InputError(f'{self.path.parent} cannot be written: {error.strerror or error}; {kept}') from error
        if isinstance(error, (InputError, KeyboardInterrupt)):
            raise kind(f'{error}; {kept}' if str(error) else kept) from error
