"""Command line of :mod:`mfdet.commands.predict`; see ``--help``."""

from mfdet.commands.predict import main

if __name__ == '__main__':
    raise SystemExit(main())
