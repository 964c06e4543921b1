"""Command line of :mod:`mfdet.commands.configs`; see ``--help``."""

from mfdet.commands.configs import main

if __name__ == '__main__':
    raise SystemExit(main())
