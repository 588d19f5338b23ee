"""What a setting of Odam-Train gains and what it costs, each against a training of the same length without it."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from odam_chapters.charts import METHOD_COLOURS
from odam_chapters.odam_train.sweep import Outcome
from odam_lib.viz.sheets import Sheet, name_entry


def show_trade_off(outcomes: Sequence[Outcome], title: str) -> Figure:
    """The change of ODI against the change of the miss rate, a point with its two intervals for each variant.

    Args:
        outcomes: those whose miss rate was not measured, and trainings without the loss, are left out.
        title: the figure's message.
    """
    figure = Sheet(6.8, 4.4)
    panel = figure.subplots()
    shown = [one for one in outcomes if "without" not in one.variant and not math.isnan(one.missed_change)]
    for place, one in enumerate(shown):
        middle, across = 100 * one.odi_change, 100 * one.missed_change
        tint = METHOD_COLOURS[place % len(METHOD_COLOURS)]
        panel.plot((100 * one.odi_low, 100 * one.odi_high), (across, across), color=tint, lw=1.2, alpha=0.6)
        panel.plot((middle, middle), (100 * one.missed_low, 100 * one.missed_high), color=tint, lw=1.2, alpha=0.6)
        marker = "os^D"[place // len(METHOD_COLOURS) % 4]
        panel.plot(middle, across, marker, color=tint, ms=7, label=name_entry(one.variant))
    panel.axhline(0, color="0.4", lw=1, ls=":")
    panel.axvline(0, color="0.4", lw=1, ls=":")
    panel.set(xlabel="change of ODI in % (left is better)", ylabel="change of the miss rate in points (down is better)")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if shown:
        figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure
