"""Notebook 04: mistakes, their evidence, and tests of it."""
