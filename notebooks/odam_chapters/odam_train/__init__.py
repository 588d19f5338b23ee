"""Notebook 06: what Odam-Train does to maps."""
