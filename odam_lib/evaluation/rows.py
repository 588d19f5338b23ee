"""What was found, one row an object and method: its means and curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odam_lib.detectors.weights import find_weights, read_card
from odam_lib.evaluation.kept import KEYS, Row
from odam_lib.evaluation.store import read_rows
from odam_lib.files import user_path
from odam_lib.kernels import checks
from odam_lib.metrics.intervals import Estimate, mean_interval

OVERALL = "overall"
"""ODExAI's (2025) overall score, insertion minus deletion, which is computed from those columns and not kept."""


@dataclass(frozen=True)
class Evaluation:
    """Rows and what is counted beside them.

    Attributes:
        rows: ``KEYS`` and one number for each metric; NaN where a metric is undefined.
        objects: true objects of the pictures that were looked at.
        undetected: how many of them had no detection to explain.
    """

    rows: tuple[Row, ...]
    objects: int
    undetected: int

    @classmethod
    def load(cls, path: Path) -> "Evaluation":
        """The rows that :func:`~odam_lib.evaluation.runs.evaluate` kept, or the CSV that was written of them.

        Rows that do not say which weights they are of, as those made before they did, are taken as they are.

        Raises:
            FileNotFoundError: there are none.
            ValueError: the file, or the ``.json`` beside a CSV, was not written by it; or it is of a bundled detector
                with other weights than those here.
        """
        path = user_path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There are no rows of an evaluation at {path}: check the path.")
        about, rows = read_rows(path)
        _check_weights(path, about["settings"])
        images = about["images"].values()
        objects = sum(image["objects"] for image in images)
        return cls(tuple(rows), objects, objects - sum(image["explained"] for image in images))

    @property
    def methods(self) -> list[str]:
        """In the order of their rows."""
        return list(dict.fromkeys(str(row["method"]) for row in self.rows))

    @property
    def metrics(self) -> list[str]:
        """Without the points of curves."""
        return [name for name in (self.rows[0] if self.rows else ()) if name not in KEYS and "@" not in name]

    def values(self, method: str, metric: str) -> tuple[Tensor, Tensor]:
        """The defined values ``[n]`` of a metric and the picture ``[n]`` that each is from.

        Raises:
            ValueError: no such method or metric.
        """
        of_object = self.by_object(method, metric)
        values = torch.tensor(list(of_object.values()), dtype=torch.float64)
        groups = torch.tensor([image for image, _ in of_object])
        return values[~values.isnan()], groups[~values.isnan()]

    def by_object(self, method: str, metric: str) -> dict[tuple[int, int], float]:
        """The value of a metric by picture and object, NaN where it is undefined; errors as for :meth:`values`."""
        parts = ("insertion", "deletion") if metric == OVERALL else (metric,)
        chosen = [row for row in self.rows if row["method"] == method]
        if not chosen or any(part not in chosen[0] for part in parts):
            raise ValueError(f"Nothing was measured of method {method!r} by metric {metric!r}.")
        values = ([float(row[part]) for part in parts] for row in chosen)
        return {object_of(row): first - sum(rest) for row, (first, *rest) in zip(chosen, values)}

    def well_detected(self, least_iou: float) -> "Evaluation":
        """The rows of objects whose detection has at least this IoU with them; the paper judges those over 0.9.

        The others count as undetected.

        Raises:
            TypeError, ValueError: no IoU in (0, 1].
        """
        least_iou = checks.number("The least IoU", least_iou, "(0, 1]")
        kept = tuple(row for row in self.rows if float(row["iou"]) >= least_iou)
        return replace(self, rows=kept, undetected=self.objects - len(set(map(object_of, kept))))

    def curve(self, method: str, name: str) -> tuple[list[float], list[float]]:
        """The mean curve of a method: places, and the mean over all objects at each.

        Raises:
            ValueError: no such method or curve.
        """
        points = [metric for metric in (self.rows[0] if self.rows else ()) if metric.startswith(f"{name}@")]
        if not points:
            raise ValueError(f"No curve {name!r} was measured.")
        means = [float(self.values(method, point)[0].mean()) for point in points]
        return [float(point.split("@")[1]) for point in points], means

    def difference(self, other: "Evaluation") -> float:
        """The largest absolute difference of a metric among the rows that both have; NaN if they share none."""
        ours, theirs = (
            {(row["image_id"], row["object"], row["method"]): row for row in one.rows} for one in (self, other)
        )
        found = [
            abs(float(ours[key][name]) - float(theirs[key][name]))
            for key in ours.keys() & theirs.keys()
            for name in other.metrics
            if name in ours[key]
        ]
        return max((value for value in found if not math.isnan(value)), default=math.nan)

    def table(self, metrics: Sequence[str] | None = None) -> list[Row]:
        """One row a method and metric: ``method, metric, n, mean, low, high, seconds``.

        ``low`` and ``high`` are the 95 % bootstrap interval over pictures; ``seconds`` is the mean time of all maps of
        one detection.
        """
        return [self.line(method, metric) for method in self.methods for metric in metrics or self.metrics]

    def line(self, method: str, metric: str) -> Row:
        """The row of :meth:`table` of one method and metric."""
        mean, low, high = self.estimate(method, metric)
        number, seconds = len(self.values(method, metric)[0]), float(self.values(method, "seconds")[0].mean())
        line: Row = {"method": method, "metric": metric, "n": number, "mean": mean, "low": low, "high": high}
        return line | {"seconds": seconds}

    def estimate(self, method: str, metric: str) -> Estimate:
        """The mean of a metric and its 95 % bootstrap interval over pictures; errors as for :meth:`values`."""
        values, groups = self.values(method, metric)
        mean = float(values.mean()) if len(values) else math.nan
        return Estimate(mean, *mean_interval(values, groups))


def object_of(row: Row) -> tuple[int, int]:
    """Which object a row is of: the number of its picture, and its own there."""
    return int(row["image_id"]), int(row["object"])


def _check_weights(path: Path, settings: dict[str, Any]) -> None:
    """Refuse rows of other weights of a bundled detector than those that lie here."""
    name, made_with = settings.get("detector", ""), settings.get("weights")
    if made_with is None or not find_weights(name).is_file():
        return
    here = read_card(name)["sha256"]
    if made_with != here:
        raise ValueError(
            f"{path} holds rows of other weights of {name} ({made_with[:8]}) than those bundled ({here[:8]}): "
            "make the rows again, or restore both from the repository."
        )
