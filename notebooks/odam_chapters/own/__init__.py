"""Notebook 09: the reader's own detector."""
