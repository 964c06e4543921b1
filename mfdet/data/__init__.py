"""Data sets: how images and annotations reach the detector."""
