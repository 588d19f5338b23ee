"""Charts: what is drawn is what was given."""

import math
from pathlib import Path

import pytest
import torch
from matplotlib.colors import to_rgba
from odam_chapters.attention.plots import show_by_edge
from odam_chapters.charts import (
    draw_training_curves,
    show_cost_ratios,
    show_estimates,
    show_growth,
    show_pairs,
    show_shares,
    show_steps,
    show_table,
)
from odam_chapters.timing import Cost

from odam_lib.metrics.intervals import Estimate
from odam_lib.viz.drawing import to_png

SHARES = {"maps": (30, 40), "heads": (3, 12), "none": (0, 0)}
INTERVALS = {"maps": (0.6, 0.86), "heads": (0.1, 0.5)}


def linear(*numbers: int) -> dict[int, Cost]:
    return {number: Cost(0.01 * number, 5.0) for number in numbers}


def test_shares_lie_within_their_intervals_and_those_of_nothing_are_left_out() -> None:
    figure = show_shares(SHARES, INTERVALS, "Maps win", "share", (0.25, "chance"))
    panel = figure.axes[0]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["maps", "heads"]
    points = [line.get_xydata().tolist() for line in panel.lines if line.get_marker() == "o"]
    assert points == [[[0.75, 0]], [[0.25, 1]]]
    whiskers = [line.get_xydata().tolist() for line in panel.lines if line.get_linewidth() == 3]
    assert whiskers == [[[0.6, 0], [0.86, 0]], [[0.1, 1], [0.5, 1]]]
    (mark,) = (line for line in panel.lines if line.get_label() == "chance")
    assert list(mark.get_xdata()) == [0.25, 0.25]
    assert panel.get_title() == "Maps win" and panel.get_xlabel() == "share" and panel.get_xlim() == (0, 1)


def test_the_first_share_is_on_top_and_keeps_its_own_colour() -> None:
    panel = show_shares(SHARES, INTERVALS, "Maps win", "share", (0.25, "chance")).axes[0]
    bottom, top = panel.get_ylim()
    assert bottom > 1 and top < 0
    tints = {
        round(float(line.get_ydata()[0])): to_rgba(line.get_color()) for line in panel.lines if line.get_marker() == "o"
    }
    assert tints[0] != tints[1]
    for line in panel.lines:
        if line.get_linewidth() == 3:
            assert to_rgba(line.get_color()) == tints[round(float(line.get_ydata()[0]))]


def test_without_any_share_only_the_mark_is_drawn() -> None:
    panel = show_shares({"none": (0, 0)}, {}, "Nothing", "share", (0.5, "chance")).axes[0]
    assert [line.get_label() for line in panel.lines] == ["chance"]


def test_estimates_are_drawn_with_their_intervals_and_the_axis_holds_them() -> None:
    shares = {"maps": Estimate(0.75, 0.6, 0.86), "heads": Estimate(0.25, -0.1, 0.5)}
    panel = show_estimates(shares, "Win", "share").axes[0]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["maps", "heads"]
    whiskers = [line.get_xydata().tolist() for line in panel.lines if line.get_linewidth() == 3]
    assert whiskers == [[[0.6, 0], [0.86, 0]], [[-0.1, 1], [0.5, 1]]]
    assert (
        panel.get_title() == "Win" and panel.get_xlabel() == "share" and panel.get_xlim() == (pytest.approx(-0.11), 1)
    )


def test_edges_have_a_row_each_and_methods_a_colour() -> None:
    of = {"x1": Estimate(0.9, 0.8, 1.0), "all": Estimate(0.6, 0.5, 0.7)}
    panel = show_by_edge({"maps": of, "heads": of}, "Maps win", "share", "chance").axes[0]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["left edge (x1)", "all edges"]
    dots = [line for line in panel.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    assert [(line.get_xdata()[0], round(float(line.get_ydata()[0]))) for line in dots] == [(0.9, 0), (0.6, 1)] * 2
    assert dots[0].get_color() == dots[1].get_color() != dots[2].get_color()


def test_a_table_shows_its_numbers_and_leaves_out_what_is_undefined() -> None:
    figure = show_table(torch.tensor([[1.0, 0.25], [0.25, torch.nan]]), ["a", "b"], "Alike", "cosine")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "0.25", "0.25", ""]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["a", "b"]


def test_steps_are_drawn_as_given() -> None:
    band = ([0.8, 0.1], [1.0, 0.3])
    figure = show_steps(["trained", "head"], {"map": [1.0, 0.2], "edges": [1.0, 1.0]}, "Falls", "correlation", band)
    panel = figure.axes[0]
    assert list(panel.lines[0].get_ydata()) == [1.0, 0.2] and len(panel.collections) == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["map", "edges"]


def test_costs_are_drawn_where_they_lie_and_what_was_extrapolated_is_told() -> None:
    costs = {"loop": linear(1, 4) | {10: Cost(0.1, math.nan, measured=False)}, "window": linear(1, 10)}
    figure = show_growth(costs, lambda cost: cost.seconds / 0.02, "forward passes", "Title", mark=(1.0, "one pass"))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert {"loop", "window", "extrapolated"} <= set(lines)
    assert list(lines["loop"].get_xdata()) == [1, 4] and list(lines["loop"].get_ydata()) == [0.5, 2.0]
    (beyond,) = (line for line in figure.axes[0].lines if line.get_linestyle() == "--" and len(line.get_xdata()) == 2)
    assert list(beyond.get_xdata()) == [4, 10] and list(beyond.get_ydata()) == [2.0, 5.0]
    plain = show_growth({"window": linear(1, 10)}, lambda cost: cost.extra_bytes, "bytes", "Title")
    assert [line.get_label() for line in plain.axes[0].lines] == ["window"] and to_png(plain).startswith(b"\x89PNG")


def test_cost_ratios_are_in_forward_passes_and_hollow_where_extrapolated() -> None:
    costs = {"loop": {10: Cost(0.1, math.nan, measured=False)}, "window": linear(1, 10)}
    figure = show_cost_ratios({"fcos, N = 10": costs}, {"fcos, N = 10": (10, 0.02)}, "Title")
    hollow, solid = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert hollow.get_xydata().tolist() == solid.get_xydata().tolist() == [[pytest.approx(5.0), 0]]
    assert hollow.get_markerfacecolor() == "white" and solid.get_markerfacecolor() == solid.get_color()
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["fcos, N = 10"]


def test_training_curves_are_written_as_a_picture(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,epoch,lr,total_loss\n1,0.5,0.1,2.0\n2,1.0,0.1,1.0\n", encoding="utf-8")
    assert draw_training_curves(tmp_path / "log.csv", tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_pairs_are_drawn_by_kind_with_the_means_of_their_bins() -> None:
    ious = torch.tensor([0.15] * 10 + [0.75] * 20)
    correlations = torch.tensor([0.1] * 10 + [0.8, 0.6] * 10)
    same = torch.tensor([False] * 10 + [True] * 20)
    figure = show_pairs({"one": (ious, correlations, same), "other": (ious, correlations, ~same)}, "message")
    assert [panel.get_title() for panel in figure.axes] == ["one", "other"] and figure.get_suptitle() == "message"
    high, low = [pytest.approx([0.75, 0.7])], [pytest.approx([0.15, 0.1])]
    for panel, (ours, others) in zip(figure.axes, ((high, low), (low, high))):
        lines = {line.get_label(): line.get_xydata().tolist() for line in panel.lines}
        assert lines["same person"] == ours and lines["different people"] == others


def test_estimates_leave_out_what_was_not_measured_and_show_differences_around_zero() -> None:
    nothing, share = Estimate(math.nan, math.nan, math.nan), Estimate(0.5, 0.4, 0.6)
    panel = show_estimates({"a": share, "b": nothing}, "Message", "share").axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["a"]
    assert list(panel.lines[0].get_xdata()) == [0.4, 0.6] and panel.get_xlim() == (0, 1)
    signed = show_estimates({"a": Estimate(0.1, -0.1, 0.3)}, "Message", "share").axes[0]
    assert signed.get_xlim() == pytest.approx((-0.11, 0.33)) and [0, 0] in [
        list(one.get_xdata()) for one in signed.lines
    ]
