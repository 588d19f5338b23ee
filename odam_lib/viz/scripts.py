"""Where the front ends lie. It imports nothing, so that a widget which draws nothing itself needs no PyTorch."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"


def read_front_end(path: Path) -> str:
    """The JavaScript module of a widget: what the front ends share, then the widget's own file."""
    return "\n".join(part.read_text(encoding="utf-8") for part in (STATIC / "common.js", path))
