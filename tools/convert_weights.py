"""Command line of :mod:`mfdet.commands.convert_weights`; see ``--help``."""

from mfdet.commands.convert_weights import main

if __name__ == '__main__':
    raise SystemExit(main())
