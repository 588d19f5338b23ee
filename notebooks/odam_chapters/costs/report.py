"""What was measured on an accelerator, as it is kept: read, drawn and told."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from odam_chapters.charts import show_growth
from odam_chapters.targets import rate
from odam_chapters.timing import Cost
from odam_lib.files import data_root, read_json, user_path, write_whole
from odam_lib.heatmaps import ATTRIBUTES

PAPER_MAP = 2e-3
"""Seconds a map in the paper, on an RTX 3090."""


PAPER_DRISE = 180.0
"""About so many seconds a picture take D-RISE's 5000 masks there."""


TARGET_MAP = 0.2e-3
"""Seconds a map may take when a hundred predictions are explained at once."""


STORED = data_root() / "evaluation" / "device-costs.json"
REMEDY = "make it by 'make gpu-check' on a machine with a GPU"


Report = dict[str, Any]


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """The report as JSON, whole or not at all; what is no number becomes ``null``."""
    with write_whole(path) as aside:
        aside.write_text(json.dumps(_known(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _known(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_known(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_report(path: str | Path = STORED) -> Report:
    """What :func:`write_report` kept; by default the run that is bundled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    path = user_path(path)
    report = read_json(path, REMEDY)
    if not {"card", "side", "detectors", "drise"} <= report.keys():
        raise ValueError(f"{path} holds no costs on a device: {REMEDY}.")
    return report


def draw_report(report: Mapping[str, Any], beside: Mapping[str, Mapping[int, Cost]] | None = None) -> Figure:
    """Milliseconds a map against the number of explained predictions on a logarithmic scale.

    Args:
        report: of :func:`~odam_chapters.costs.device.benchmark`.
        beside: what another machine needed for five maps of each of N predictions, by the name that its line shall
            have.
    """
    costs = {
        name: {int(number): Cost(cost["ms_a_map"] / 1e3, math.nan) for number, cost in one["maps"].items()}
        for name, one in report["detectors"].items()
    } | {
        name: {number: replace(cost, seconds=cost.seconds / (number * len(ATTRIBUTES))) for number, cost in of.items()}
        for name, of in (beside or {}).items()
    }
    mark = (1e3 * PAPER_MAP, "the paper: 2 ms on an RTX 3090")
    return show_growth(costs, lambda cost: 1e3 * cost.seconds, "milliseconds a map", f"On one {report['card']}", mark)


def tell_report(report: Mapping[str, Any], number: int = 100) -> str:
    """What the maps of so many predictions cost there and what limits them, a line for each detector; and D-RISE."""
    of = f"{number} predictions, {report['attributes']} maps each"
    lines = [f"{report['card']}, {of}: milliseconds a map, goal {1e3 * TARGET_MAP:g}"]
    for name, one in report["detectors"].items():
        each, limit = one["maps"][str(number)]["ms_a_map"], _looked_at(one)["limited_by"].partition(":")[0]
        lines.append("  " + rate(each <= 1e3 * TARGET_MAP, f"{each:.3f}  {name}; limited by {limit}"))
    drise = report["drise"]
    told = "" if drise["measured"] else "about "
    lines.append(f"D-RISE, {drise['masks']} masks: {told}{drise['seconds']:.0f} s a picture; the paper: 3 minutes")
    return "\n".join(lines)


def _looked_at(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """What limits a detector's maps; the name says at how many predictions that was looked at."""
    (closely,) = [value for key, value in one.items() if key.startswith("limits_")]
    return closely


def summarize(report: Mapping[str, Any]) -> str:
    """All main numbers of a report as text."""
    lines = [f"{report['card']}, torch {report['torch']}, pictures of {report['side']} pixels"]
    for name, one in report["detectors"].items():
        many = f"{one['predict_ms_of_many']:.1f} ms a picture in batches"
        lines.append(f"{name}: one forward pass {one['forward_ms']:.1f} ms, {many}")
        for number, cost in one["maps"].items():
            lines.append(
                f"  {number:>4} x {report['attributes']} maps: {cost['ms']:8.1f} ms, {cost['ms_a_map']:.3f} a map, "
                f"{cost['forwards']:.2f} forward passes, {cost['extra_MB']:.0f} MB"
            )
        closely = _looked_at(one)
        lines.append(
            f"  busy {1e3 * (closely['busy'] or 0):.1f} of {1e3 * closely['seconds']:.1f} ms, "
            f"{closely['arithmetic']:.0%} of the arithmetic, {closely['bandwidth']:.0%} of the bandwidth, "
            f"{closely['launches']} launches, {closely['waits']} waits; limited by {closely['limited_by']}"
        )
    for part in ("odam_nms", "training", "evaluation", "drise", "failed"):
        if part in report:
            lines.append(f"{part}: {json.dumps(report[part])}")
    return "\n".join(lines)
