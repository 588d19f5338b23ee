"""Data sets: the synthetic scene generator and readers of published detection data."""
