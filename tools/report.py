"""Command line of :mod:`mfdet.commands.report`; see ``--help``."""

from mfdet.commands.report import main

if __name__ == '__main__':
    raise SystemExit(main())
