"""Pictures of questionnaires and of what people answered."""

import io
from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from odam_chapters.charts import METHOD_COLOURS, draw_interval
from odam_chapters.pictures import draw_thin
from odam_chapters.study.items import Item, Study
from odam_lib.metrics.intervals import Estimate
from odam_lib.viz.drawing import draw_box, to_png
from odam_lib.viz.sheets import Sheet, name_entry

LETTERS = "ABCDEFGH"
SIDE = 2.75
"""Inches of a panel: 220 pixels on a screen."""


def show_question(study: Study, item: Item, shown: Sequence[str], title: str = "") -> Figure:
    """A question as people see it: the maps by letter, nothing that tells whose they are.

    Args:
        study: the questionnaire.
        item: that is asked about.
        shown: the conditions of the maps, from the first place to the last.
        title: default the question.
    """
    maps = [(LETTERS[place], item.maps[condition]) for place, condition in enumerate(shown)]
    return _show_maps(item, [(item.asked or "picture", item.picture), *maps], title or study.question)


def draw_still(study: Study, items: Sequence[Item]) -> bytes:
    """A PNG of one question, for places where no kernel runs; of pointing with the map that leaks least.

    It is the question with the plainest pictures, whose PNGs are the smallest: it is stored with notebooks.
    """
    plain = min(items, key=lambda item: sum(map(len, (item.picture, *item.maps.values()))))
    leaks = plain.odi or {}
    shown = tuple(plain.maps) if study.kind == "rank" else (min(plain.maps, key=lambda name: leaks.get(name, 0.0)),)
    return to_png(show_question(study, plain, shown))


def _show_maps(item: Item, maps: Sequence[tuple[str, bytes]], title: str) -> Figure:
    columns = min(3, len(maps))
    rows = -(-len(maps) // columns)
    high, wide = item.size
    side = SIDE if len(maps) > 2 else 1.25 * SIDE
    figure = Sheet(side * columns, side * high / max(high, wide) * rows + 0.25 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for place, (panel, (name, png)) in enumerate(zip(panels, maps)):
        _draw_png(panel, png, item.size)
        panel.set_title(name, fontsize=9, loc="left")
        if item.box:
            draw_box(panel, torch.tensor(item.box), 0, item.edge or None)
        if item.objects and place:
            draw_thin(panel, torch.tensor(item.objects), "#56b4e9")
    for panel in panels[len(maps) :]:
        panel.remove()
    figure.suptitle(fill(title, int(figure.get_figwidth() * 12)), fontsize=10)
    return figure


def _draw_png(panel: Axes, png: bytes, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(png)) as opened:
        panel.imshow(np.asarray(opened.convert("RGB")), extent=(0, size[1], size[0], 0))
    panel.set(xlim=(0, size[1]), ylim=(size[0], 0), xticks=[], yticks=[])
    panel.set_axis_off()


def show_readers(
    panels: Mapping[str, Mapping[str, Mapping[str, Estimate]]], title: str, marks: Mapping[str, tuple[float, str]]
) -> Figure:
    """Shares of several readers: a panel for each share, a row for each condition, a colour for each reader.

    Args:
        panels: estimates in [0, 1] by what is shared, reader and condition; NaN is left out.
        title: the figure's message.
        marks: by what is shared, where to draw a line, and what it is.
    """
    conditions = list(dict.fromkeys(name for one in panels.values() for of in one.values() for name in of))
    readers = list(dict.fromkeys(name for one in panels.values() for name in one))
    figure = Sheet(4.4 * len(panels), 1.3 + 0.42 * len(conditions))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (number, by_reader) in zip(axes, panels.items()):
        for colour, reader in enumerate(readers):
            tint = METHOD_COLOURS[colour % len(METHOD_COLOURS)]
            panel.plot([], [], "o-", color=tint, lw=3, label=name_entry(reader))
            for name, (middle, low, high) in by_reader.get(reader, {}).items():
                place = conditions.index(name) + 0.24 * (colour - (len(readers) - 1) / 2)
                if middle == middle:
                    draw_interval(panel, place, middle, (low, high), tint, 5)
        if number in marks:
            panel.axvline(marks[number][0], color="0.4", lw=1, ls=":", label=name_entry(marks[number][1]))
        panel.set_title(number, fontsize=9)
        panel.set_yticks(range(len(conditions)), conditions, fontsize=8)
        panel.set_ylim(len(conditions) - 0.5, -0.5)
        panel.set_xlim(0, 1.02)
        panel.tick_params(labelsize=8)
        panel.grid(axis="x", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    figure.suptitle(title, fontsize=11)
    return figure


def show_by_odi(panels: Mapping[str, Mapping[str, Mapping[float, tuple[Estimate, int]]]], title: str) -> Figure:
    """Numbers against the map's ODI, as Fig. 8: a panel for each number, a line for each reader, counts at the points.

    Args:
        panels: by number and reader, of :func:`odam_chapters.study.inference.estimate_by_odi`.
        title: the figure's message.
    """
    figure = Sheet(4.4 * len(panels), 3.6)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (number, by_reader) in zip(axes, panels.items()):
        for colour, (reader, bands) in enumerate(by_reader.items()):
            tint = METHOD_COLOURS[colour % len(METHOD_COLOURS)]
            shift = 0.012 * (colour - (len(by_reader) - 1) / 2)
            places = [place + shift for place in bands]
            values = [estimate for estimate, _ in bands.values()]
            panel.vlines(places, [one.low for one in values], [one.high for one in values], color=tint, lw=2.5)
            panel.plot(places, [one.value for one in values], "o-", color=tint, lw=1.2, ms=5, label=name_entry(reader))
            told = {"textcoords": "offset points", "fontsize": 7, "color": tint}
            for place, one, (_, count) in zip(places, values, bands.values()):
                panel.annotate(str(count), (place, one.value), (4, -11 if colour % 2 else 5), **told)
        panel.set(xlim=(0, 1), xlabel="ODI of the map")
        panel.set_title(number, fontsize=9)
        panel.set_ylim(bottom=0)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    figure.suptitle(title, fontsize=11)
    return figure


def show_power(curves: Mapping[str, Mapping[int, Estimate]], enough: float, title: str) -> Figure:
    """The power by the number of people, a line for each kind of study, with intervals."""
    figure = Sheet(6.8, 3.4)
    panel = figure.subplots()
    for colour, (name, power) in enumerate(curves.items()):
        tint = METHOD_COLOURS[colour % len(METHOD_COLOURS)]
        people, values = list(power), list(power.values())
        panel.vlines(people, [one.low for one in values], [one.high for one in values], color=tint, lw=2)
        panel.plot(people, [one.value for one in values], "o-", color=tint, ms=5, label=name_entry(name))
    panel.axhline(enough, color="0.4", lw=1, ls=":", label=f"{enough:.0%}")
    panel.set(xlabel="people", ylabel="studies that find the effect", ylim=(0, 1.02))
    panel.set_title(title, fontsize=11)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8, loc="lower right")
    return figure
