"""A page about what a detector found, or about its mistakes, in one file that can be sent or attached to a bug report.

It holds a figure for each picture whose objects can be clicked, tables, and what the numbers depend on.
"""

import base64
import html
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor
from tqdm import tqdm

from odam_lib.detections import Detections, check_threshold
from odam_lib.detectors.base import Detector, check_detector
from odam_lib.detectors.identity import hash_image, hash_weights
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.files import sha256, user_path, write_whole
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.images import load_image
from odam_lib.metrics.errors import MISSED, VERDICTS, Errors, judge_picture
from odam_lib.viz.drawing import fit_size, resize
from odam_lib.viz.front_ends import STATIC, encode_jpeg
from odam_lib.viz.sheets import LONGEST_LINE, make_legible
from odam_lib.viz.standalone import Standalone, embed_figure, make_module, make_page, make_standalone

MOST_PICTURES = 30
"""A page has so many pictures at most."""

THUMBNAIL_SIDE = 200
CORNERS = ("left", "top", "right", "bottom")
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Headings and rows."""


@dataclass(frozen=True)
class Section:
    """What a page says about one picture.

    Attributes:
        title: its name.
        facts: what else is known of it, by name.
        thumbnail: a small JPEG.
        figure: its objects, which can be clicked.
        table: one row for each of them.
    """

    title: str
    facts: Mapping[str, str]
    thumbnail: bytes
    figure: Standalone
    table: Table


def report_pictures(
    detector: Detector,
    paths: Sequence[str | Path],
    place: Path,
    layer: str | None = None,
    score_threshold: float = 0.5,
) -> None:
    """Write a page of what a detector found in some pictures, and why.

    Args:
        detector: that looks at them.
        paths: of the pictures, at most ``MOST_PICTURES``.
        place: file to write, ``.html``.
        layer: one of ``detector.layers``; default the first.
        score_threshold: least score of a detection.

    Raises:
        FileNotFoundError: a picture is missing.
        ValueError: one cannot be read, there are none or too many, or another argument is wrong.
        OSError: the page cannot be written; names it.
    """
    layer = _checked(detector, layer, score_threshold)
    files = [user_path(path) for path in paths]
    if not 0 < len(files) <= MOST_PICTURES:
        raise ValueError(f"There are {len(files)} pictures: a page shows 1 to {MOST_PICTURES}, make several pages.")
    for path in files:
        load_image(path)
    sections = []
    for path in files:
        image = load_image(path)
        heat_maps = explain(detector, image, layer=layer, score_threshold=score_threshold)
        found = heat_maps.detections
        facts = {"sha256 of the file": sha256(path), **_describe(image)}
        table = (("object", "label", "score", *CORNERS), [_row(found, row) for row in range(len(found))])
        figure = make_standalone(image, heat_maps)
        sections.append(Section(path.name, facts, _shrink(image), figure, table))
    count = sum(len(section.table[1]) for section in sections)
    lead = f"{count} object{'s' if count != 1 else ''} in {len(files)} picture{'s' if len(files) != 1 else ''}."
    title = f"Why did {detector.name} find this, there?"
    _write(place, title, lead, None, sections, _settings(detector, layer, score_threshold))


def report_mistakes(
    detector: Detector,
    dataset: Any,
    name: str,
    place: Path,
    layer: str | None = None,
    score_threshold: float = 0.5,
) -> None:
    """Write a page of a detector's mistakes on a data set, see :mod:`odam_lib.metrics.errors`.

    Args:
        detector: that looks at it.
        dataset: items ``(image, target)`` in the detector's numbering, as :func:`~odam_lib.datasets.relabel` returns.
        name: of the data set.
        place: file to write, ``.html``.
        layer: one of ``detector.layers``; default the first.
        score_threshold: least score of a detection.

    Raises:
        TypeError, ValueError: an argument is wrong.
        OSError: the page cannot be written; names it.
    """
    layer = _checked(detector, layer, score_threshold)
    counts, sections, wrong = Counter[str](), list[Section](), 0
    for item in tqdm(range(len(dataset)), desc=detector.name, unit="picture"):
        image, target = dataset[item]
        trace = detector.trace(image.to(detector.device), layer)
        found, errors = judge_picture(trace.detections(score_threshold), target)
        counts.update(errors.counts())
        rows = torch.nonzero(errors.verdicts).flatten().tolist()
        wrong += bool(rows)
        if rows and len(sections) < MOST_PICTURES:
            maps = ODAM()(trace, found[rows], ATTRIBUTES)
            sections.append(
                _show_mistakes(
                    target.get("file_name", f"Picture {item}"), image, target, maps, errors, rows, dataset.categories
                )
            )
    first = f", of which the first {len(sections)} are shown" if len(sections) < wrong else ""
    lead = f"{wrong} of {len(dataset)} pictures have a wrong detection{first}."
    summary = (("what", "number"), [[one, str(counts[one])] for one in (*VERDICTS, MISSED)])
    settings = {"data": name, "pictures": str(len(dataset))} | _settings(detector, layer, score_threshold)
    _write(place, f"What does {detector.name} get wrong?", lead, summary, sections, settings)


def _show_mistakes(
    title: str,
    image: Tensor,
    target: Mapping[str, Any],
    heat_maps: HeatMaps,
    errors: Errors,
    rows: Sequence[int],
    categories: Sequence[str],
) -> Section:
    """The wrong detections of a picture, which have these rows among all, with their maps."""
    lines = []
    for place, row in enumerate(rows):
        true = int(errors.objects[row])
        other = categories[int(target["labels"][true])] if true >= 0 else "none"
        said = [VERDICTS[errors.verdicts[row]], other, f"{errors.overlaps[row]:.2f}"]
        number, label, score, *corners = _row(heat_maps.detections, place)
        lines.append([number, label, score, *said, *corners])
    missed = [categories[label] for label in target["labels"][errors.missed].tolist()]
    facts = {"image_id": str(target["image_id"]), "missed": ", ".join(missed) or "nothing", **_describe(image)}
    headings = ("object", "label", "score", "mistake", "true object", "IoU", *CORNERS)
    return Section(title, facts, _shrink(image), make_standalone(image, heat_maps), (headings, lines))


def _checked(detector: Detector, layer: str | None, score_threshold: float) -> str:
    check_detector(detector)
    check_threshold(score_threshold)
    return detector.choose_layer(layer)


def _settings(detector: Detector, layer: str, score_threshold: float) -> dict[str, str]:
    """What all numbers of a page depend on, by name."""
    method = ", ".join(f"{name} {value}" for name, value in asdict(ODAM()).items())
    return {
        "detector": detector.name,
        "hash of its weights": hash_weights(detector.model),
        "layer": layer,
        "least score": f"{score_threshold:g}",
        "method": f"ODAM: {method}",
        "computed by": f"{detector.device}, {detector.dtype}".replace("torch.", ""),
        "versions": f"odam_lib {version('odam_lib')}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}, Python {platform.python_version()}",
    }


def _describe(image: Tensor) -> dict[str, str]:
    return {"size": f"{image.shape[2]} x {image.shape[1]} pixels", "hash of its pixels": hash_image(image)}


def _shrink(image: Tensor) -> bytes:
    return encode_jpeg(resize(image.cpu(), fit_size((image.shape[1], image.shape[2]), THUMBNAIL_SIDE)))


def _row(found: Detections, row: int) -> list[str]:
    corners = [f"{edge:.1f}" for edge in found.boxes[row].tolist()]
    return [str(row), found.names()[row], f"{found.scores[row]:.3f}", *corners]


def _write(
    place: Path,
    title: str,
    lead: str,
    summary: Table | None,
    sections: Sequence[Section],
    settings: Mapping[str, str],
) -> None:
    modules = [make_module(front_end) for front_end in dict.fromkeys(one.figure.front_end for one in sections)]
    parts = [
        _element("h1", title),
        _element("p", lead),
        _tabulate(*summary) if summary else "",
        _thumbnails(sections) if len(sections) > 1 else "",
        *(_section(number, one) for number, one in enumerate(sections, start=1)),
        _element("h2", "Settings"),
        _list(settings),
        *(f'<script type="module">{module}</script>' for module in modules),
    ]
    page = make_page(title, "\n".join(parts), modules, (STATIC / "report.css").read_text(encoding="utf-8"))
    with write_whole(place) as aside:
        aside.write_text(page, encoding="utf-8")


def _section(number: int, section: Section) -> str:
    parts = (_escape(section.title), embed_figure(section.figure), _tabulate(*section.table), _list(section.facts))
    return '<section id="picture-{}"><h2>{}</h2>{}{}{}</section>'.format(number, *parts)


def _thumbnails(sections: Sequence[Section]) -> str:
    links = []
    for number, section in enumerate(sections, start=1):
        jpeg = base64.b64encode(section.thumbnail).decode()
        picture = f'<img alt="" src="data:image/jpeg;base64,{jpeg}">'
        links.append(f'<a href="#picture-{number}">{picture}{_escape(section.title)}</a>')
    return f'<nav class="thumbnails" aria-label="pictures">{"".join(links)}</nav>'


def _tabulate(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return _element("p", "Nothing was found.")
    head = "".join(_element("th", one) for one in headings)
    body = "".join(f"<tr>{''.join(_element('td', cell) for cell in row)}</tr>" for row in rows)
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_escape(name)}</th>{_element("td", said)}</tr>' for name, said in facts.items()
    )
    return f'<table class="settings"><tbody>{rows}</tbody></table>'


def _element(tag: str, text: str) -> str:
    return f"<{tag}>{_escape(text)}</{tag}>"


def _escape(text: str) -> str:
    """Text of any origin, as a page shows it."""
    return html.escape(make_legible(text, LONGEST_LINE))
