"""Command line of :mod:`mfdet.commands.visualize_queries`; see ``--help``."""

from mfdet.commands.visualize_queries import main

if __name__ == '__main__':
    raise SystemExit(main())
