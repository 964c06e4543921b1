"""mmengine's Runner with a console that a person can follow, and checkpoints that a crash cannot tear."""

import logging
import os

from mmengine.runner import Runner

from mfdet.files import replacing


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
        with replacing(os.path.join(out_dir, filename), flush=True) as part:
            super().save_checkpoint(out_dir, os.path.basename(part), *args, **kwargs)
