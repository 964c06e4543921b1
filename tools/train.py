"""Command line of :mod:`mfdet.commands.train`; see ``--help``."""

from mfdet.commands.train import main

if __name__ == '__main__':
    raise SystemExit(main())
