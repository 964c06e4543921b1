"""See ``python tools/evaluate.py --help``."""

from mfdet.commands.evaluate import main

raise SystemExit(main())
