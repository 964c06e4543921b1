"""What every command shares: how a user's mistake ends it."""

import functools
import sys

from mfdet.errors import InputError


def command(main):
    """Wrap ``main(argv=None)`` so that it returns an exit code: 0, 2 for an :class:`InputError`, 130 for Ctrl-C."""

    @functools.wraps(main)
    def wrapped(argv=None):
        try:
            return main(argv) or 0
        except InputError as error:
            print(f'error: {error}', file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            return 130

    return wrapped
