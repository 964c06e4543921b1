"""mmengine's Runner with a console that a person can follow, and checkpoints that a crash cannot tear."""

import collections
import contextlib
import functools
import io
import logging
import multiprocessing
import os
import signal
import threading

from mmengine.dist import master_only
from mmengine.runner import Runner

from mfdet.engine.checkpoint import CHECKPOINT, note_saved
from mfdet.engine.console import Console, ConsoleHook
from mfdet.errors import InputError
from mfdet.files import replacing

STARTS = collections.Counter()  # runs of this process by their timestamp
LOADER_TIMEOUT = 600  # seconds for a batch: no disk is that slow, and a job that hangs costs more than one that ends


def _naming(part, build):
    """Wrap a function that builds something of a config, so that its errors name the part of the config."""

    @functools.wraps(build)
    def wrapped(*args, **kwargs):
        try:
            return build(*args, **kwargs)
        except InputError:
            raise
        except Exception as error:  # a config can be wrong in any way
            text = ' '.join(str(error).split())
            raise InputError(f"the config's {part} cannot be built: {type(error).__name__}: {text}") from error

    return wrapped


def _end_workers():
    """Kill the workers of all loaders: one that hangs would keep this process from ending.

    torch's handler raises anew for each worker that dies, wherever this process is then, until it has been waited for.
    """
    in_main = threading.current_thread() is threading.main_thread()  # no other runs handlers, or may set them
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if in_main else None
    try:
        workers = multiprocessing.active_children()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
    finally:
        if in_main:
            signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)  # None if C code has set it


def _naming_workers(run):
    """Wrap a method that runs loops, so that workers of a loader that die or hang end it with a sentence."""

    @functools.wraps(run)
    def wrapped(self):
        try:
            return run(self)
        except RuntimeError as error:
            text = ' '.join(str(error).split())
            if not text.startswith('DataLoader '):
                raise
            _end_workers()
            if 'timed out' in text:
                why = (
                    'look whether the folder of the images can still be read; the timeout of a *_dataloader in the '
                    'config is in seconds, 0 waits for ever'
                )
            else:
                why = 'this is often for lack of memory: take a smaller num_workers or batch_size'
            raise InputError(f'{text.rstrip(".")}; {why}. A training goes on with --resume') from error

    return wrapped


def _on_console(run):
    """Wrap a method that runs loops, so that the console shows how far they are."""

    @functools.wraps(run)
    def wrapped(self):
        with self.console.running():
            return run(self)

    return wrapped


class ConsoleRunner(Runner):
    """Runner whose console is a :class:`mfdet.engine.console.Console`; the log file has all that mmengine says.

    What cannot be built raises :class:`mfdet.errors.InputError` with the part of the config, and so does a loader
    whose workers die, or give nothing for :data:`LOADER_TIMEOUT`.
    """

    train = _on_console(_naming_workers(Runner.train))
    test = _on_console(_naming_workers(Runner.test))

    build_model = _naming('model', Runner.build_model)
    build_train_loop = _naming('train_dataloader or train_cfg', Runner.build_train_loop)
    build_val_loop = _naming('val_dataloader, val_evaluator or val_cfg', Runner.build_val_loop)
    build_test_loop = _naming('test_dataloader, test_evaluator or test_cfg', Runner.build_test_loop)
    build_optim_wrapper = _naming('optim_wrapper', Runner.build_optim_wrapper)
    build_param_scheduler = _naming('param_scheduler', Runner.build_param_scheduler)

    def setup_env(self, env_cfg):
        """Set up as mmengine does, but tell apart runs of the same second: they would share one logger and its file."""
        super().setup_env(env_cfg)
        before = STARTS[self._timestamp]
        STARTS[self._timestamp] += 1
        if before:
            self._timestamp += f'_{before}'

    def build_logger(self, *args, **kwargs):
        """Build mmengine's logger, with a console that a person can follow."""
        logger = super().build_logger(*args, **kwargs)
        stream = next(handler for handler in logger.handlers if type(handler) is logging.StreamHandler)
        self.console = Console()
        self.console.setLevel(stream.level)  # of all processes, but the first, that of errors
        self.console.filters += stream.filters
        logger.handlers[logger.handlers.index(stream)] = self.console
        logging.raiseExceptions = False  # no traceback for each line that a full disk does not take
        return logger

    def register_hooks(self, *args, **kwargs):
        """Register the hooks of the config, and that of the console."""
        _naming('default_hooks or custom_hooks', super().register_hooks)(*args, **kwargs)
        if self.rank == 0:
            self.register_hook(ConsoleHook(self.console), ConsoleHook.PRIORITY)

    def load_checkpoint(self, *args, **kwargs):
        """Load as mmengine does, without its printing that beside the log."""
        with contextlib.redirect_stdout(io.StringIO()):
            return super().load_checkpoint(*args, **kwargs)

    @staticmethod
    def build_dataloader(dataloader, *args, **kwargs):
        """Build a loader as mmengine does, with a timeout if it has workers."""
        if isinstance(dataloader, dict) and dataloader.get('num_workers'):
            dataloader = {'timeout': LOADER_TIMEOUT, **dataloader}
        return Runner.build_dataloader(dataloader, *args, **kwargs)

    @master_only
    def save_checkpoint(self, out_dir, filename, *args, **kwargs):
        """Write a checkpoint under another name, flush it to the disk and then rename it; otherwise as mmengine does.

        Raises:
            InputError: the file cannot be written; one of that name stays as it is.
        """
        if not os.path.isdir(out_dir):  # mmengine would make it anew, below the place of a share that has gone
            raise InputError(f'{out_dir}: this folder is no longer there, {filename} cannot be saved')
        with replacing(os.path.join(out_dir, filename), flush=True) as part:
            super().save_checkpoint(out_dir, os.path.basename(part), *args, **kwargs)
            if CHECKPOINT.fullmatch(filename):
                note_saved(out_dir, filename)
