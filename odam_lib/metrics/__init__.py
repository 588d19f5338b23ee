"""Numbers that judge detectors and explanations."""
