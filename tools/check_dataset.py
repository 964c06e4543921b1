"""Command line of :mod:`mfdet.commands.check_dataset`; see ``--help``."""

from mfdet.commands.check_dataset import main

if __name__ == '__main__':
    raise SystemExit(main())
