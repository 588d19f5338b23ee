"""Targets that were set before anything was measured."""


def rate(met: bool, text: str) -> str:
    """A line that says whether a target was met."""
    return f"{'met   ' if met else 'MISSED'}  {text}"
