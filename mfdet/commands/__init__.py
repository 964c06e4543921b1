"""The command lines. Each module has ``main(argv=None) -> int``; ``tools/*.py`` call it."""
