"""Command line of :mod:`mfdet.commands.demo`; see ``--help``."""

from mfdet.commands.demo import main

if __name__ == '__main__':
    raise SystemExit(main())
