"""Command line of :mod:`mfdet.commands.test`; see ``--help``."""

from mfdet.commands.test import main

if __name__ == '__main__':
    raise SystemExit(main())
