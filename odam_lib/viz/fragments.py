"""The part of a figure's page that shows it in any other page. Loads no torch: what runs notebooks is kept small."""

from pathlib import Path

BEGIN, END = "<!-- odam figure -->", "<!-- end of odam figure -->"
"""Around that part, in a page that :mod:`odam_lib.viz.standalone` wrote."""

WRITTEN = "odam_figure"
"""Under which metadata of a widget's output name the file of its figure."""


def read_fragment(path: Path) -> str:
    """What shows the figure of a file of :func:`odam_lib.viz.standalone.write_page` in another page.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no figure.
    """
    _, found, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    fragment, ended, _ = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{path} holds no figure: give a file that write_figure wrote.")
    return fragment
