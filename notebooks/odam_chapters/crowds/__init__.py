"""Notebook 07: duplicates in crowds."""
