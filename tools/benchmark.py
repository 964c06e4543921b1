"""Command line of :mod:`mfdet.commands.benchmark`; see ``--help``."""

from mfdet.commands.benchmark import main

if __name__ == '__main__':
    raise SystemExit(main())
