"""mmengine's Runner with a console that a person can follow."""

import logging

from mmengine.runner import Runner


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
