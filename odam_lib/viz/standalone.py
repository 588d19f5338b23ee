"""Figures in which an object is chosen without Python: one HTML file, which asks for no other file and no network.

The front ends are those of the widgets. What a widget's Python would answer to each choice is a table in the page.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from odam_lib.files import output_file, write_whole
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks
from odam_lib.viz.drawing import OPACITY, fit_size, resize
from odam_lib.viz.fragments import BEGIN, END
from odam_lib.viz.front_ends import (
    SHOWN,
    STATIC,
    describe_maps,
    describe_picture,
    encode_jpeg,
    limit_objects,
    read_front_end,
)
from odam_lib.viz.plots import check_shown

LARGEST = 1_500_000
"""Bytes of a page with one figure."""

MOST_OF_MAPS = 1_000_000
"""Bytes, as Base64, of what a figure shows of all choices."""


@dataclass(frozen=True)
class Standalone:
    """What a front end shows, and what it is answered.

    Attributes:
        title: heading of a page with nothing else.
        front_end: its JavaScript module.
        values: the traits of the widget that it stands for, by name, as it begins: numbers, strings and bytes, in lists
            and by name.
        keys: the traits that a reader changes and that Python would answer.
        table: the answer, traits by name, to the values of ``keys``, joined by spaces.
    """

    title: str
    front_end: Path
    values: Mapping[str, Any]
    keys: tuple[str, ...]
    table: Mapping[str, Mapping[str, Any]]


def write_figure(
    image: Tensor,
    heat_maps: HeatMaps,
    path: str | Path,
    selected: int = 0,
    attribute: str = "class",
    opacity: float = OPACITY,
) -> Path:
    """Write a web page of a picture whose objects can be clicked, beside their maps.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat_maps: maps of ``class`` and the four edges of that image's detections, none negative. Of more detections
            than ``MOST_BOXES``, or than fit in :data:`LARGEST` bytes, the first are shown, and the page says so.
        path: file to write, ``.html``.
        selected: row of the detection to begin with.
        attribute: which map to begin with, one of ``SHOWN``.
        opacity: of the map where it is largest, to begin with.

    Returns:
        The path.

    Raises:
        TypeError, ValueError, IndexError: what was wrong with an argument.
        OSError: the file cannot be written; names it.
    """
    place = output_file(path)
    return write_page(make_standalone(image, heat_maps, selected, attribute, opacity), place)


def make_standalone(
    image: Tensor, heat_maps: HeatMaps, selected: int = 0, attribute: str = "class", opacity: float = OPACITY
) -> Standalone:
    """The figure that :func:`write_figure` writes; arguments and errors are the same."""
    check_shown(image, heat_maps)
    opacity = checks.number("The opacity", opacity, "[0, 1]")
    if attribute not in SHOWN:
        raise ValueError(f"There is no map of {attribute!r} in the figure: choose one of {', '.join(SHOWN)}.")
    found = heat_maps.detections
    each = ((row, describe_maps(heat_maps[row])) for row in range(len(limit_objects(found)[0])))
    table = keep_what_fits(
        (drawn | {"_shown": drawn["_shown"] | {"selected": row, "smoothing": ""}} for row, drawn in each), "_maps"
    )
    shown, more = limit_objects(found, len(table))
    values = {
        "selected": checks.row(selected, len(shown)) if len(shown) else -1,
        "attribute": attribute,
        "smoothing": "",
        "opacity": opacity,
        "error": "",
        "_about": describe_picture(shown, more) | {"smoothings": []},
        "_picture": encode_jpeg(resize(image.cpu(), fit_size(found.image_size))),
        "_shown": {},
    }
    return Standalone("Why was it found there?", STATIC / "picker.js", values, ("selected",), table)


def keep_what_fits(answers: Iterable[Mapping[str, Any]], picture: str) -> dict[str, Mapping[str, Any]]:
    """The first answers for which a page has room, by what is selected.

    Args:
        answers: made as they are asked for; ``_shown`` has what is ``selected``.
        picture: the trait that takes the room, bytes.
    """
    table, room = dict[str, Mapping[str, Any]](), MOST_OF_MAPS
    for answer in answers:
        room -= len(answer[picture]) * 4 // 3
        if room < 0:
            break
        table[str(answer["_shown"]["selected"])] = answer
    return table


def write_page(figure: Standalone, path: str | Path) -> Path:
    """Write a web page with one figure, whole or not at all.

    Returns:
        The path.

    Raises:
        ValueError: it would have more than :data:`LARGEST` bytes.
        OSError: the file cannot be written; names it.
    """
    place = output_file(path)
    module = make_module(figure.front_end)
    heading = f"<h1>{html.escape(figure.title)}</h1>\n"
    body = f'{heading}{BEGIN}{embed_figure(figure)}<script type="module">{module}</script>{END}'
    page = make_page(figure.title, body, [module])
    if len(page) > LARGEST:
        raise ValueError(f"The figure would have {len(page) / 1e6:.1f} MB: choose a smaller picture or fewer objects.")
    with write_whole(place) as aside:
        aside.write_text(page, encoding="utf-8")
    return place


def embed_figure(figure: Standalone) -> str:
    """HTML of the place of a figure in a page that has the :func:`make_module` of its front end further down."""
    data = _escape_json({"values": figure.values, "keys": figure.keys, "table": figure.table})
    return (
        f'<div class="odam-figure" data-front-end="{figure.front_end.stem}">'
        f'<script type="application/json">{data}</script>'
        "<noscript>A browser that runs scripts shows a figure here whose objects can be clicked.</noscript></div>"
    )


def make_module(front_end: Path) -> str:
    """The JavaScript module that shows all figures of one front end in a page."""
    style = (STATIC / "picker.css").read_text(encoding="utf-8")
    names = f"const STYLE = {_escape_json(style)};\nconst NAME = {_escape_json(front_end.stem)};\n"
    shared = read_front_end(front_end).replace("export default { render };\n", "")
    return f"{names}{shared}{(STATIC / 'standalone.js').read_text(encoding='utf-8')}"


def make_page(title: str, body: str, modules: Sequence[str], style: str = "") -> str:
    """A web page that runs these modules, which its body holds, and nothing else, and asks for no other file.

    Args:
        title: text.
        body: HTML.
        modules: JavaScript.
        style: CSS of the page, beside that of all pages.
    """
    page_style = (STATIC / "page.css").read_text(encoding="utf-8") + style
    figure_style = (STATIC / "picker.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src blob: data:; script-src {' '.join(map(_hash, modules)) or _NONE}; "
        f"style-src {_hash(page_style)} {_hash(figure_style)}; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>{page_style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


_NONE = "'none'"


def _hash(source: str) -> str:
    """How a page's policy names a script or style that it may hold."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _escape_json(value: Any) -> str:
    """JSON in ASCII, in which nothing ends a script or begins a comment, with ``{"bytes": Base64}`` for bytes."""
    text = json.dumps(value, default=lambda found: {"bytes": base64.b64encode(found).decode()}, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
