"""Notebook 90: what an explanation costs."""
