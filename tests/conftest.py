import mfdet  # noqa: F401  makes mmdet importable, whichever test runs first
