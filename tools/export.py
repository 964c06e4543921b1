"""Command line of :mod:`mfdet.commands.export`; see ``--help``."""

from mfdet.commands.export import main

if __name__ == '__main__':
    raise SystemExit(main())
