"""mmengine's Runner with a console that a person can follow, and checkpoints that a crash cannot tear."""

import contextlib
import logging
import os

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mfdet.errors import InputError


def _is_readable(record):
    """Long dumps of environment, config and hooks go to the log file only."""
    long_dumps = (
        '\n----',
        'Config:',
        'Hooks will be executed',
        '"FileClient"',
        '"HardDiskBackend"',
        'paramwise_options',
    )
    return not record.getMessage().startswith(long_dumps)


class ConsoleRunner(Runner):
    """Runner that keeps the long dumps of its start out of the console; the log file has them all."""

    def build_logger(self, *args, **kwargs):
        """Build mmengine's logger and filter its console."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_readable)
        return logger

    def save_checkpoint(self, out_dir, filename, *args, **kwargs):
        """Write a checkpoint under another name, flush it to the disk and then rename it; otherwise as mmengine does.

        Raises:
            InputError: the file cannot be written; the checkpoints that are there stay as they are.
        """
        path, part = (os.path.join(out_dir, name) for name in (filename, f'.{filename}.part'))
        try:
            super().save_checkpoint(out_dir, os.path.basename(part), *args, **kwargs)
            if is_main_process():
                with open(part, 'rb') as file:
                    os.fsync(file.fileno())
                os.replace(part, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.remove(part)
            raise InputError(
                f'{path}: the checkpoint cannot be written: {error.strerror or error}; the ones before it are untouched'
            ) from error
