"""What every command shares: how a user's mistake ends it, and its options."""

import argparse
import contextlib
import functools
import os
import re
import sys
import threading
import time

from mfdet.errors import InputError


def command(main):
    """Wrap ``main(argv=None)`` so that it returns an exit code: 0, or 2 for an :class:`InputError`
    or an OSError, 130 for Ctrl-C.

    With the environment variable ``MFDET_TRACEBACK`` these are raised as they are, to see where it comes from.
    One of several processes that work together ends here, see :func:`mfdet.engine.distributed.leave`.
    Letters that the output's encoding lacks are printed as ``\\xe9``, rather than ending a command after its work.
    """

    @functools.wraps(main)
    def wrapped(argv=None):
        with contextlib.suppress(AttributeError):  # a caller's own stream may be no text file
            sys.stdout.reconfigure(errors='backslashreplace')
        code = run(argv)
        distributed = sys.modules.get('torch.distributed')
        if distributed and distributed.is_available() and distributed.is_initialized():
            from mfdet.engine.distributed import leave

            leave(code)
        return code

    def run(argv):
        try:
            code = main(argv) or 0
            sys.stdout.flush()
            return code
        except InputError as error:
            if 'MFDET_TRACEBACK' in os.environ:
                raise
            return _report(str(error))
        except KeyboardInterrupt as stop:
            print(': '.join(['interrupted', *map(str, stop.args)]), file=sys.stderr)
            return 130
        except BrokenPipeError:  # whoever read the output has gone, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
            return 141
        except OSError as error:  # a disk that is full, a folder that has gone
            if 'MFDET_TRACEBACK' in os.environ:
                raise
            return _report(f'{error.filename}: {error.strerror}' if error.filename else error.strerror or str(error))

    return wrapped


def _report(text):
    """Print an error as one sentence and return its exit code."""
    if 'Original Traceback' in text:  # torch puts that of a loader's worker before it
        text = re.split(r'\n[\w.]*Error: ', text.strip())[-1]
    print(f'error: {text}', file=sys.stderr)
    return 2


def program(tool):
    """Return what a command calls itself in its help: ``mfdet train`` if it was run so, else ``python tools/train.py``.

    Args:
        tool: name of the command's file in ``tools``, without its suffix.
    """
    return sys.argv[0] if sys.argv[0].startswith('mfdet ') else f'python tools/{tool}.py'


def new_parser(tool, description, example):
    """Return the argument parser of a command.

    Args:
        tool: see :func:`program`; a script for developers by its file name, such as ``'make_shapes.py'``.
        description: what it does.
        example: text below the options, with ``%(prog)s`` for the command.
    """
    return argparse.ArgumentParser(
        tool if tool.endswith('.py') else program(tool),
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


@contextlib.contextmanager
def announced(what, every=10):
    """Say on stderr what the block does, and every few seconds, on the same line, how long it has been at it.

    Args:
        what: such as ``'comparing it with PyTorch'``.
        every: seconds between the times.
    """
    start, done = time.monotonic(), threading.Event()
    screen = sys.stderr  # the block may put what others write to it elsewhere

    def remind():
        while not done.wait(every):
            print(f' {time.monotonic() - start:.0f} s', end='', file=screen, flush=True)

    print(f'{what} ...', end='', file=screen, flush=True)
    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        print(file=screen)


TORCH_PRECISIONS = 'fp32', 'fp16', 'bf16'  # those of mfdet.engine.precision, which imports torch


def check_at_least_one(args, *options):
    """Check that numbers of the command line are at least 1, where they are given.

    Args:
        args: parsed options.
        options: their names, such as ``'batch_size'``.

    Raises:
        InputError: one is less.
    """
    for option in options:
        given = getattr(args, option, None)
        for value in given if isinstance(given, list) else [given]:
            if value is not None and value < 1:
                raise InputError(f'--{option.replace("_", "-")} must be at least 1, got {value}')


def check_score(threshold):
    """Check ``--score-thr``.

    Raises:
        InputError: it is no score.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f'--score-thr must be from 0 to 1, got {threshold}')


def add_config_options(parser, what):
    """Add ``--cfg-options KEY=VALUE ...``; ``what`` is its help."""
    from mmengine.config import DictAction

    class KeyValue(DictAction):
        def __call__(self, parser, namespace, values, option_string=None):
            for value in values:
                if not value.partition('=')[0] or '=' not in value:
                    parser.error(f'--cfg-options takes KEY=VALUE, such as train_cfg.max_epochs=30, got {value!r}')
            super().__call__(parser, namespace, values, option_string)

    parser.add_argument('--cfg-options', nargs='+', action=KeyValue, metavar='K=V', help=what)
