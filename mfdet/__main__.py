"""``python -m mfdet``: the command ``mfdet``."""

from mfdet.cli import main

if __name__ == '__main__':
    raise SystemExit(main())
