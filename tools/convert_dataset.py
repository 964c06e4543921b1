"""Command line of :mod:`mfdet.commands.convert_dataset`; see ``--help``."""

from mfdet.commands.convert_dataset import main

if __name__ == '__main__':
    raise SystemExit(main())
