"""The detectors that the page offers."""

import functools
import os
import threading

from mfdet.detector import CHECKPOINTS, EXPORTED, load_detector
from mfdet.errors import InputError


class Models:
    """Detectors by name, each loaded when it is first asked for.

    Args:
        paths: exported files and checkpoints; they go by their file names, or by their paths where those are the same.

    Attributes:
        names: list of the names.

    Raises:
        InputError: a file is missing or of another kind, or is named twice.
    """

    def __init__(self, paths):
        bases = [os.path.basename(path) for path in paths]
        self.names = bases if len(set(bases)) == len(bases) else [os.path.normpath(path) for path in paths]
        self._paths = dict(zip(self.names, paths, strict=True))
        if len(self._paths) < len(paths):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise InputError(f'{twice}: this model is named twice')
        for path in paths:
            if not os.path.isfile(path):
                raise InputError(f'{path}: no such model file')
            if not path.lower().endswith((*EXPORTED, *CHECKPOINTS)):
                load_detector(path)  # says what a detector ends in
        self._lock = threading.Lock()
        self._detector = functools.cache(lambda name: load_detector(self._paths[name]))
        self._observer = functools.cache(self._load_observer)

    def detector(self, name):
        """Return the detector of a name, as of :func:`mfdet.load_detector`.

        Raises:
            InputError: it is no detector, or cannot be loaded.
        """
        with self._lock:  # two users may ask at a time
            return self._detector(name)

    def has_queries(self, name):
        """Tell whether it is the checkpoint of an end-to-end detector; :meth:`detector` must have loaded it."""
        exported = self._paths[name].lower().endswith(EXPORTED)
        return not exported and self.detector(name).metadata['model'] == 'E2EMobileFormer'

    def observer(self, name):
        """Return the :class:`mfdet.engine.queries.Observer` of a name that :meth:`has_queries`."""
        with self._lock:
            return self._observer(name)

    def _load_observer(self, name):
        from mfdet.engine.queries import Observer  # imports torch

        return Observer(self._paths[name])
