"""Tables of text, as notebooks print them."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest


def write_text(rows: Iterable[Sequence[object]], *widths: int) -> str:
    """Lines of cells, each as wide as its column.

    Args:
        rows: cells of each line, the heading first.
        widths: width of each column; negative where the cells begin at its left. The last one is of all that follow.
    """
    formats = [f"{'<' if width < 0 else '>'}{abs(width)}" for width in widths]
    return "\n".join(
        "".join(f"{cell:{form}}" for cell, form in zip_longest(row, formats[: len(row)], fillvalue=formats[-1]))
        for row in rows
    )
