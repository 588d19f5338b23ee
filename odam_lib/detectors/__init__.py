"""Detectors that can be explained, behind one contract (``base``), by name (``zoo``)."""
