"""Command line of :mod:`mfdet.commands.evaluate`; see ``--help``."""

from mfdet.commands.evaluate import main

if __name__ == '__main__':
    raise SystemExit(main())
