"""Measurements of speed, always of several things side by side; ``tools/benchmark.py`` runs them."""
