"""Charts of notebook 05."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from odam_chapters.charts import METHOD_COLOURS, draw_interval
from odam_lib.metrics.intervals import Estimate
from odam_lib.viz.drawing import TITLES
from odam_lib.viz.sheets import Sheet, name_entry


def show_by_edge(estimates: Mapping[str, Mapping[str, Estimate]], title: str, label: str, chance: str) -> Figure:
    """Shares and their intervals, a row for each edge and a colour for each method.

    Args:
        estimates: by method, then by edge or ``all``.
        title: the figure's message.
        label: what the shares are.
        chance: what stands at one half, in words.
    """
    edges = list(dict.fromkeys(edge for of in estimates.values() for edge in of))
    figure = Sheet(7.6, 1.6 + 0.45 * len(edges))
    panel = figure.subplots()
    for place, (method, of) in enumerate(estimates.items()):
        for row, edge in enumerate(edges):
            value, low, high = of[edge]
            at = row + 0.3 * (place - (len(estimates) - 1) / 2)
            draw_interval(panel, at, value, (low, high), METHOD_COLOURS[place], 7)
        panel.plot([], [], "o-", color=METHOD_COLOURS[place], lw=3, label=name_entry(method))
    panel.axvline(0.5, color="0.4", lw=1, ls=":", label=chance)
    panel.set(xlim=(0, 1), xlabel=label)
    panel.set_yticks(range(len(edges)), [TITLES.get(edge, "all edges") for edge in edges])
    panel.set_ylim(len(edges) - 0.4, -0.6)
    panel.grid(axis="x", alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(title, fontsize=11)
    figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=2)
    return figure
