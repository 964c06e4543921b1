"""Export of trained models to files that need neither mmdet nor torch."""
