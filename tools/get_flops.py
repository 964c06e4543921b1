"""Command line of :mod:`mfdet.commands.get_flops`; see ``--help``."""

from mfdet.commands.get_flops import main

if __name__ == '__main__':
    raise SystemExit(main())
