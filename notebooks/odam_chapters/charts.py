"""Charts of numbers - shares, tables, steps, costs, losses - in the style of :mod:`odam_lib.viz`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from odam_chapters.rows import read_rows
from odam_chapters.timing import Cost
from odam_lib.metrics.intervals import Estimate
from odam_lib.viz.drawing import OBJECT_COLOURS, SEQUENTIAL, save_png
from odam_lib.viz.sheets import Sheet, name_entry

METHOD_COLOURS = (*OBJECT_COLOURS[4:], *OBJECT_COLOURS[:3])
"""Of methods: the same colours from blue on, since on white the light ones are hard to see."""


def show_shares(
    counts: Mapping[str, tuple[int, int]],
    intervals: Mapping[str, tuple[float, float]],
    title: str,
    label: str,
    mark: tuple[float, str],
) -> Figure:
    """Shares with their intervals, a row for each.

    Args:
        counts: (successes, number) by name; those of nothing are left out.
        intervals: (low, high) in [0, 1] by name.
        title: the figure's message.
        label: what the shares are.
        mark: a share to draw a vertical line at, and its label.
    """
    shown = {name: of / number for name, (of, number) in counts.items() if number}
    figure = Sheet(6.8, 1.5 + 0.4 * len(shown))
    panel = figure.subplots()
    draw_shares(panel, shown, intervals, label, METHOD_COLOURS, 8)
    panel.axvline(mark[0], color="0.4", lw=1, ls=":", label=name_entry(mark[1]))
    panel.set_title(title, fontsize=11)
    panel.legend(frameon=False, fontsize=8, loc="best")
    return figure


def draw_shares(
    panel: Axes,
    shares: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    label: str,
    tints: Sequence[str],
    size: float,
) -> None:
    """Numbers in [0, 1] and their intervals, a row for each, in colours that come again and again."""
    for place, (name, share) in enumerate(shares.items()):
        draw_interval(panel, place, share, intervals[name], tints[place % len(tints)], size)
    panel.set(xlim=(0, 1), xlabel=label)
    panel.set_yticks(range(len(shares)), list(shares))
    panel.set_ylim(len(shares) - 0.4, -0.6)
    panel.grid(axis="x", alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def show_estimates(estimates: Mapping[str, Estimate], title: str, label: str) -> Figure:
    """Numbers up to 1 and their intervals, a row for each but NaN; small ones get an axis of their size, 0 a line."""
    shown = {name: one for name, one in estimates.items() if one.value == one.value}
    figure = Sheet(7.6, 1.2 + 0.4 * max(len(shown), 1))
    panel = figure.subplots()
    shares = {name: one.value for name, one in shown.items()}
    draw_shares(panel, shares, {name: one[1:] for name, one in shown.items()}, label, METHOD_COLOURS[:1], 7)
    low, high = min([0.0, *(one.low for one in shown.values())]), max([0.0, *(one.high for one in shown.values())])
    if low < 0:
        panel.set_xlim(1.1 * low, 1 if high > 0.5 else 1.1 * high)
        panel.axvline(0, color="0.4", lw=1)
    elif high < 0.2:
        panel.set_xlim(0, 1.1 * high)
    panel.set_title(title, fontsize=11)
    return figure


def draw_interval(panel: Axes, place: float, middle: float, ends: tuple[float, float], tint: str, size: float) -> None:
    """A number and its interval at one place of the vertical axis."""
    panel.plot(ends, (place, place), color=tint, lw=3, solid_capstyle="butt")
    panel.plot(middle, place, "o", color=tint, ms=size, clip_on=False)


def show_table(values: Tensor, names: Sequence[str], title: str, label: str) -> Figure:
    """Numbers between pairs of things as a square of shades with the numbers in it; NaN stays empty.

    Args:
        values: ``Tensor[N, N]`` in [-1, 1]; shades are of what lies above 0.
        names: names of the N things.
        title: the figure's message.
        label: what the numbers are.
    """
    figure = Sheet(2.6 + 0.62 * len(names), 1.6 + 0.58 * len(names))
    panel = figure.subplots()
    drawn = panel.imshow(values.cpu().numpy(), cmap=SEQUENTIAL, vmin=0, vmax=1)
    for row, line in enumerate(values.tolist()):
        for column, value in enumerate(line):
            tint = "black" if value > 0.6 else "white"
            panel.text(column, row, "" if value != value else f"{value:.2f}", ha="center", va="center", color=tint)
    places = range(len(names))
    panel.set_xticks(places, names, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
    panel.set_yticks(places, names, fontsize=8)
    panel.set_title(title, fontsize=11)
    bar = figure.colorbar(drawn, ax=panel, fraction=0.046, pad=0.02)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def show_intervals(
    lines: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, str],
    title: str,
    marked: str = "ODAM",
    mark: float | None = None,
) -> Figure:
    """Means with their intervals: a panel for each metric, a row for each method.

    Args:
        lines: of :meth:`odam_lib.evaluation.rows.Evaluation.table`.
        metrics: what stands over the panel of each metric, by its name.
        title: the figure's message.
        marked: the methods whose names begin so are coloured.
        mark: a number to draw a vertical line at in each panel.
    """
    methods = list(dict.fromkeys(line["method"] for line in lines))
    rows = -(-len(metrics) // 4)
    figure = Sheet(11.0, 0.9 + rows * (0.7 + 0.2 * len(methods)))
    panels = figure.subplots(rows, min(4, len(metrics)), sharey=True, squeeze=False).flatten()
    for panel, (metric, heading) in zip(panels, metrics.items()):
        for line in (line for line in lines if line["metric"] == metric):
            place = methods.index(line["method"])
            tint = METHOD_COLOURS[0] if line["method"].startswith(marked) else "0.35"
            draw_interval(panel, place, line["mean"], (line["low"], line["high"]), tint, 5)
        if mark is not None:
            panel.axvline(mark, color="0.4", lw=1, ls=":")
        panel.set_title(heading, fontsize=9)
        panel.set_yticks(range(len(methods)), methods, fontsize=8)
        panel.set_ylim(len(methods) - 0.5, -0.5)
        panel.tick_params(labelsize=8)
        panel.locator_params(axis="x", nbins=5)
        panel.grid(axis="x", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(metrics) :]:
        panel.remove()
    figure.suptitle(title, fontsize=11)
    return figure


def show_pairs(panels: Mapping[str, tuple[Tensor, Tensor, Tensor]], title: str) -> Figure:
    """Pairs of predictions: the overlap of the two boxes against the agreement of the two maps.

    Args:
        panels: IoU ``[P]``, correlation ``[P]`` and whether both are of the same object, bool ``[P]``, by the name of
            their panel.
        title: the figure's message.
    """
    figure = Sheet(4.1 * len(panels), 4.0)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    kinds = (("same person", METHOD_COLOURS[0], True), ("different people", METHOD_COLOURS[1], False))
    for panel, (name, (ious, correlations, same)) in zip(axes, panels.items()):
        for label, tint, kind in kinds:
            chosen = same == kind
            panel.scatter(ious[chosen], correlations[chosen], s=4, alpha=0.25, lw=0, color=tint)
            panel.plot(*_binned(ious[chosen], correlations[chosen]), color=tint, lw=2.5, marker="o", ms=5, label=label)
        panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="IoU of the two boxes", title=name)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("cosine of the two maps")
    axes[0].legend(frameon=True, fontsize=8, loc="lower right")
    figure.suptitle(title, fontsize=11)
    return figure


def _binned(places: Tensor, values: Tensor, bins: int = 10) -> tuple[list[float], list[float]]:
    """Centres and means of the bins of [0, 1] that hold at least ten values."""
    member = (places * bins).long().clamp(0, bins - 1)
    known = [at for at in range(bins) if int((member == at).sum()) >= 10]
    return [(at + 0.5) / bins for at in known], [float(values[member == at].mean()) for at in known]


def show_mean_curves(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    labels: Mapping[str, tuple[str, str]],
    title: str,
) -> Figure:
    """Mean curves side by side, a line for each method.

    Args:
        curves: places and means by the method, by the name of the panel.
        labels: labels of the horizontal and the vertical axis, by the name of the panel.
        title: the figure's message.
    """
    figure = Sheet(3.6 * len(curves), 3.6)
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    names = list(dict.fromkeys(name for methods in curves.values() for name in methods))
    for panel, (heading, methods) in zip(panels, curves.items()):
        for name, (places, means) in methods.items():
            place = names.index(name)
            style = "-" if place < len(METHOD_COLOURS) else "--"
            panel.plot(places, means, style, color=_method_colour(place), lw=1.8, label=name_entry(name))
        panel.set_title(heading, fontsize=10)
        panel.set_xlabel(labels[heading][0], fontsize=9)
        panel.set_ylabel(labels[heading][1], fontsize=9)
        panel.set_ylim(bottom=0)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    handles, shown = panels[0].get_legend_handles_labels()
    figure.legend(handles, shown, loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure


def show_part_bars(values: Mapping[str, Sequence[float]], parts: Sequence[str], title: str) -> Figure:
    """Numbers of the same parts by several measures: a panel for each measure, a bar for each part.

    Args:
        values: one number a part, by the measure.
        parts: their names.
        title: the figure's message.
    """
    figure = Sheet(2.4 + 2.6 * len(values), 1.1 + 0.24 * len(parts))
    panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for place, (panel, (heading, numbers)) in enumerate(zip(panels, values.items())):
        panel.barh(range(len(parts)), numbers, color=_method_colour(place))
        panel.axvline(0, color="0.3", lw=0.8)
        panel.set_title(heading, fontsize=9)
        panel.set_yticks(range(len(parts)), parts, fontsize=8)
        panel.set_ylim(len(parts) - 0.5, -0.5)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    return figure


def show_steps(
    steps: Sequence[str],
    lines: Mapping[str, Sequence[float]],
    title: str,
    label: str,
    band: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Figure:
    """How numbers change step by step: a line for each.

    Args:
        steps: names of the steps.
        lines: a number for each step, by the name of the line.
        title: the figure's message.
        label: what the numbers are, for the vertical axis.
        band: lower and upper limit at each step of a band around the first line.
    """
    figure = Sheet(6.4, 3.8)
    panel = figure.subplots()
    tints = [OBJECT_COLOURS[number] for number in (4, 5, 2, 6)]
    for number, (name, values) in enumerate(lines.items()):
        marker, style = ("o", "-") if number == 0 else ("", "--" if number == 1 else ":")
        panel.plot(
            range(len(steps)),
            values,
            color=tints[number % len(tints)],
            marker=marker,
            linestyle=style,
            label=name_entry(name),
        )
    if band is not None:
        panel.fill_between(range(len(steps)), *band, color=tints[0], alpha=0.15, lw=0)
    panel.axhline(0, color="grey", lw=0.6)
    panel.set_xticks(range(len(steps)), steps, rotation=25, ha="right", rotation_mode="anchor", fontsize=8)
    panel.set_ylabel(label, fontsize=9)
    panel.set_title(title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def show_growth(
    costs: Mapping[str, Mapping[int, Cost]],
    shown: Callable[[Cost], float],
    unit: str,
    title: str,
    mark: tuple[float, str] | None = None,
    across: str = "explained predictions N",
) -> Figure:
    """Cost against number on logarithmic axes, a line for each name; what was extrapolated is dashed.

    Args:
        costs: by name and number; a name keeps its place's colour, so give all figures the same order.
        shown: what of a cost to draw; what is not positive is left out.
        unit: unit of what is drawn.
        title: the figure's message.
        mark: a value to draw a horizontal line at, and its label.
        across: what the numbers are.
    """
    figure = Sheet(6.4, 4.0)
    panel, dashed = figure.subplots(), False
    for place, (name, growth) in enumerate(costs.items()):
        tint = _method_colour(place)
        points = [(number, shown(cost), cost.measured) for number, cost in sorted(growth.items()) if shown(cost) > 0]
        solid = [point for point in points if point[2]]
        beyond = solid[-1:] + [point for point in points if not point[2]]
        at, heights = [at for at, *_ in solid], [value for _, value, _ in solid]
        marker = "os^"[place // len(METHOD_COLOURS)]
        panel.plot(at, heights, f"{marker}-", color=tint, ms=4, label=name_entry(name))
        if len(beyond) > 1:
            dashed = True
            panel.plot([at for at, *_ in beyond], [value for _, value, _ in beyond], "--", color=tint, lw=1.2)
    if mark is not None:
        panel.axhline(mark[0], color="0.4", lw=1, ls=":")
        at = panel.get_yaxis_transform()
        panel.text(0.99, mark[0], mark[1], transform=at, fontsize=8, color="0.3", ha="right", va="bottom")
    panel.set(xscale="log", yscale="log", xlabel=across, ylabel=unit, title=title)
    for axis in (panel.xaxis, panel.yaxis):
        _write_plain_numbers(axis)
    panel.title.set_fontsize(11)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if dashed:
        panel.plot([], [], "--", color="0.4", lw=1.2, label="extrapolated")
    panel.legend(frameon=False, fontsize=9)
    return figure


def _write_plain_numbers(axis: Axis) -> None:
    """1, 10, 100 at a logarithmic axis instead of powers, and where it spans less than a thousandfold 2 and 5 too."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def show_cost_ratios(
    costs: Mapping[str, Mapping[str, Mapping[int, Cost]]], at: Mapping[str, tuple[int, float]], title: str
) -> Figure:
    """Costs in units of each row's own forward pass on a logarithmic axis; hollow where they are extrapolated.

    Args:
        costs: by row, method and number.
        at: for each row the number that is shown, and the seconds of its forward pass.
        title: the figure's message.
    """
    figure = Sheet(6.8, 0.8 + 0.55 * len(costs))
    panel = figure.subplots()
    methods = list(dict.fromkeys(name for row in costs.values() for name in row))
    for place, name in enumerate(methods):
        for height, (row, of_row) in enumerate(costs.items()):
            number, unit = at[row]
            if name in of_row and number in of_row[name]:
                cost, tint = of_row[name][number], _method_colour(place)
                face = tint if cost.measured else "white"
                panel.plot(cost.seconds / unit, height, "o", color=tint, mfc=face, ms=9)
    panel.axvline(1, color="0.4", lw=1, ls=":")
    panel.set(xscale="log", xlabel="time, in forward passes of the same detector", title=title)
    panel.set_yticks(range(len(costs)), list(costs))
    panel.set_ylim(len(costs) - 0.5, -0.5)
    panel.title.set_fontsize(11)
    panel.grid(axis="x", alpha=0.25)
    handles = [Line2D([], [], ls="", marker="o", color=_method_colour(place)) for place in range(len(methods))]
    handles.append(Line2D([], [], ls="", marker="o", color="0.4", mfc="white"))
    figure.legend(
        handles,
        [*map(name_entry, methods), "extrapolated"],
        loc="outside lower center",
        ncols=6,
        frameon=False,
        fontsize=8,
    )
    return figure


def draw_training_curves(log: Path, path: Path) -> Path:
    """Draw the losses of a training run from its CSV log into a PNG file.

    Raises:
        FileNotFoundError: there is no such log.
        ValueError: it is damaged, or empty.
    """
    rows = read_rows(log, "losses", "a training", float)
    if rows.empty:
        raise ValueError(f"{log} holds no losses: train for more steps.")
    figure = Sheet(6.4, 3.4)
    panel = figure.subplots()
    smooth = rows.drop(columns=["step", "epoch", "lr"]).rolling(max(1, len(rows) // 60)).mean()
    for colour, name in enumerate(smooth):
        tint = OBJECT_COLOURS[colour + 4] if colour < 3 else None
        panel.plot(rows["epoch"], smooth[name], label=name_entry(name.replace("_", " ")), color=tint)
    panel.set(xlabel="epoch", ylabel="loss (running mean)", yscale="log", title="Training losses fall")
    panel.legend(frameon=False)
    return save_png(figure, path)


def _method_colour(place: int) -> str:
    return METHOD_COLOURS[place % len(METHOD_COLOURS)]
