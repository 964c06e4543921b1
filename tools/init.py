"""Command line of :mod:`mfdet.commands.init`; see ``--help``."""

from mfdet.commands.init import main

if __name__ == '__main__':
    raise SystemExit(main())
