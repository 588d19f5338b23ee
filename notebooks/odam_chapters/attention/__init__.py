"""Notebook 05: attention beside ODAM."""
