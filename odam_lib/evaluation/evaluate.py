"""Many methods, many metrics, one table: each well-detected object of a data set explained and judged.

``python -m odam_lib.evaluation --help`` makes the rows that are bundled under ``data/evaluation``.
"""

import csv
import gzip
import json
import math
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor
from torchvision.ops import box_iou
from tqdm import tqdm

from odam_lib.datasets.categories import check_numbering
from odam_lib.detectors.base import Detector
from odam_lib.evaluation.judges import JUDGES, Judge, Picture
from odam_lib.explainers.bbam import BBAM
from odam_lib.explainers.controls import BoxFill, CentredGaussian, EigenCAM, RandomMap
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.whole import Combined
from odam_lib.files import owned, user_path, write_whole
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.metrics.intervals import mean_interval
from odam_lib.metrics.matching import match

KEYS = ("image_id", "object", "label", "iou", "score", "method", "seconds")
"""Columns of a row that are no metric."""

Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Evaluation:
    """What was found, one row an object and method.

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
        """The rows that :func:`evaluate` kept.

        Raises:
            FileNotFoundError: there are none.
            ValueError: the file, or the ``.json`` beside it, was not written by :func:`evaluate`.
        """
        path = user_path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There are no rows of an evaluation at {path}: check the path.")
        about, rows = _read(path)
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
        chosen = [row for row in self.rows if row["method"] == method]
        if not chosen or metric not in chosen[0]:
            raise ValueError(f"Nothing was measured of method {method!r} by metric {metric!r}.")
        values = torch.tensor([float(row[metric]) for row in chosen], dtype=torch.float64)
        groups = torch.tensor([int(row["image_id"]) for row in chosen])
        return values[~values.isnan()], groups[~values.isnan()]

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
        ours = {(row["image_id"], row["object"], row["method"]): row for row in self.rows}
        pairs = [
            (ours[key], row) for row in other.rows if (key := (row["image_id"], row["object"], row["method"])) in ours
        ]
        found = [abs(float(one[name]) - float(two[name])) for one, two in pairs for name in other.metrics]
        return max((value for value in found if not math.isnan(value)), default=math.nan)

    def table(self, metrics: Sequence[str] | None = None) -> list[Row]:
        """One row a method and metric: ``method, metric, n, mean, low, high, seconds``.

        ``low`` and ``high`` are the 95 % bootstrap interval over pictures; ``seconds`` is the mean time of all maps of
        one detection.
        """
        return [self.line(method, metric) for method in self.methods for metric in metrics or self.metrics]

    def line(self, method: str, metric: str) -> Row:
        """The row of :meth:`table` of one method and metric."""
        values, groups = self.values(method, metric)
        low, high = mean_interval(values, groups)
        mean = float(values.mean()) if len(values) else math.nan
        seconds = float(self.values(method, "seconds")[0].mean())
        line: Row = {"method": method, "metric": metric, "n": len(values), "mean": mean, "low": low, "high": high}
        return line | {"seconds": seconds}


def evaluate(
    detector: Detector,
    dataset: Any,
    methods: Mapping[str, Explainer],
    judges: Sequence[Judge] = JUDGES,
    objects: int = 300,
    least_iou: float = 0.5,
    score_threshold: float = 0.5,
    layer: str | None = None,
    path: str | Path | None = None,
) -> Evaluation:
    """Explain well-detected objects by every method and judge every map.

    Detections are matched with true objects of the same class one to one, best IoU first; the same detections are
    explained by all methods. Judged is the map of the class, min-max normalised; planted causes judge all attributes.

    Args:
        detector: what is explained.
        dataset: items ``(image, target)`` with ``boxes``, ``labels`` in the detector's numbering (see
            :func:`~odam_lib.datasets.categories.relabel`), ``image_id`` and what the judges need.
        methods: explainers by the name that they shall have in the table.
        judges: the metrics.
        objects: pictures are taken in order until at least this many objects were explained.
        least_iou: of a detection with its object; the paper keeps more than 0.9.
        score_threshold: least score of a detection.
        layer: of the detector; ``None`` for its default.
        path: a CSV, compressed if it is called ``.csv.gz``, that keeps the rows, with a ``.json`` of the settings
            beside it. What it holds already is not computed again, so that an interrupted run goes on; it is rewritten
            whole after each picture. No other run may write to it meanwhile.

    Returns:
        The rows; fewer objects than asked for if the data set ends before.

    Raises:
        ValueError: no method, a data set of another numbering or that a judge cannot work on, a picture without masks
            where one is needed, or a ``path`` that has another suffix, or whose rows were made with other settings, of
            other pictures, or cannot be read.
        OSError: ``path`` cannot be written, see :func:`~odam_lib.files.owned`.
    """
    if not methods or objects < 1:
        raise ValueError("There is nothing to evaluate: give at least one method and one object.")
    check_numbering(dataset, detector.categories)
    for judge in judges:
        judge.check(dataset)
    settings = {
        "detector": detector.name,
        "layer": layer or detector.layers[0],
        "least_iou": least_iou,
        "score_threshold": score_threshold,
        "judges": [repr(judge) for judge in judges],
    }
    path = None if path is None else user_path(path)
    with ExitStack() as stack:
        for file in () if path is None else (path, _settings(path)):
            stack.enter_context(owned(file))
        store = _Store(path, settings, {name: repr(method) for name, method in methods.items()})
        if len(dataset):
            store.check_first(dataset)
        bar = stack.enter_context(tqdm(total=objects, desc=detector.name, unit="object"))
        explained = 0
        for item in range(len(dataset)):
            if explained >= objects:
                break
            if wanted := store.missing(item, list(methods)):
                image, target = dataset[item]
                _check_truth(target, judges)
                image_id = int(target["image_id"])
                store.check_image(item, image_id)
                picture = open_picture(detector, dataset, item, image, target, least_iou, score_threshold, layer)
                rows = [row for name in wanted for row in _judge(picture, name, methods[name], judges)]
                store.add(item, image_id, rows, wanted, len(target["labels"]), len(picture.own))
            explained += store.explained(item)
            bar.update(store.explained(item))
        return store.evaluation(list(methods), objects, len(dataset))


def open_picture(
    detector: Detector, dataset: Any, item: int, image: Tensor, target: dict[str, Tensor],
    least_iou: float = 0.5, score_threshold: float = 0.5, layer: str | None = None,
) -> Picture:  # fmt: skip
    """A picture of a data set with the detections that are matched with its objects; arguments as :func:`evaluate`."""
    trace = detector.trace(image, layer)
    found = trace.detections(score_threshold)
    rows = match(found, target["boxes"], target["labels"], least_iou)
    own = torch.nonzero(rows >= 0).flatten()
    return Picture(dataset, item, trace, target, found[rows[own]], own.cpu())


def _judge(picture: Picture, name: str, method: Explainer, judges: Sequence[Judge]) -> list[Row]:
    if not len(picture.own):
        return []
    start = time.perf_counter()
    heat_maps = method(picture.trace, picture.detections, ATTRIBUTES)
    seconds = (time.perf_counter() - start) / len(picture.own)
    maps = heat_maps.select("class").normalized().to_image()[:, 0]
    numbers: dict[str, Tensor] = {}
    for judge in judges:
        numbers |= judge(picture, maps, heat_maps)
    overlap = _iou(picture)
    return [
        {
            "image_id": int(picture.target["image_id"]),
            "object": own,
            "label": int(picture.detections.labels[row]),
            "iou": round(float(overlap[row]), 4),
            "score": round(float(picture.detections.scores[row]), 4),
            "method": name,
            "seconds": float(f"{seconds:.3g}"),
        }
        | {metric: float(f"{float(values[row]):.4g}") for metric, values in numbers.items()}
        for row, own in enumerate(picture.own.tolist())
    ]


def _iou(picture: Picture) -> Tensor:
    return box_iou(picture.detections.boxes.cpu(), picture.target["boxes"][picture.own]).diagonal()


def _check_truth(target: Mapping[str, Any], judges: Sequence[Judge]) -> None:
    for judge in judges:
        for key in judge.needs:
            if key not in target:
                raise ValueError(
                    f"Image {int(target['image_id'])} has no {key}, which {type(judge).__name__} needs: "
                    "give a data set with them or leave that metric out."
                )


class _Store:
    """Rows in memory and, if there is a path, on disk."""

    def __init__(self, path: Path | None, settings: dict[str, Any], methods: dict[str, str]) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.about: dict[str, Any] = {"settings": settings, "methods": methods, "images": {}}
        if path is None or not (path.is_file() or _settings(path).is_file()):
            return
        kept, self.rows = _read(path)
        _check_same(path, kept["settings"], settings)
        _check_same(path, {name: kept["methods"][name] for name in methods if name in kept["methods"]}, methods)
        self.about["methods"] = kept["methods"] | methods
        self.about["images"] = kept["images"]

    def image_at(self, item: int) -> int | None:
        """The id of a picture that was looked at before."""
        known = self.about["images"].get(str(item))
        return None if known is None else known["image_id"]

    def check_first(self, dataset: Any) -> None:
        """Refuse another data set than the kept rows are from."""
        for item, image in list(self.about["images"].items())[:1]:
            target = dataset[int(item)][1]
            self.check_image(int(item), int(target["image_id"]))
            if len(target["labels"]) != image["objects"]:  # scenes of another setting have the same ids
                raise ValueError(f"{self.path} was made on another data set: give another path or delete it.")

    def check_image(self, item: int, image_id: int) -> None:
        """Raise ``ValueError`` if the rows that are kept of this item are of another picture."""
        known = self.image_at(item)
        if known not in (None, image_id):
            raise ValueError(
                f"{self.path} was made on another data set, where item {item} was image {known}, not {image_id}: "
                "give another path or delete it."
            )

    def missing(self, item: int, methods: list[str]) -> list[str]:
        """The methods of which this picture has no rows yet."""
        known = self.about["images"].get(str(item), {"methods": []})
        return [name for name in methods if name not in known["methods"]]

    def explained(self, item: int) -> int:
        return self.about["images"][str(item)]["explained"]

    def add(self, item: int, image_id: int, rows: list[Row], methods: list[str], objects: int, explained: int) -> None:
        if self.path is not None and not self.about["images"]:
            self._keep_settings(self.path)  # so that whenever there are rows, it is known whose they are
        known = self.about["images"].get(str(item), {"methods": []})
        image = {"image_id": image_id, "objects": objects, "explained": explained}
        self.about["images"][str(item)] = image | {"methods": known["methods"] + methods}
        self.rows += rows
        if self.path is None:
            return
        with write_whole(self.path) as aside:
            with _opened(aside, "w") as file:
                writer = csv.DictWriter(file, list(self.rows[0]) if self.rows else KEYS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
        self._keep_settings(self.path)

    def _keep_settings(self, path: Path) -> None:
        with write_whole(_settings(path)) as aside:
            aside.write_text(json.dumps(self.about, indent=1) + "\n", encoding="utf-8")

    def evaluation(self, methods: list[str], objects: int, items: int) -> Evaluation:
        """The rows of these methods, of the first of so many pictures that hold so many explained objects."""
        used, explained = [], 0
        for item in sorted(self.about["images"], key=int):
            if explained >= objects or int(item) >= items:
                break
            used.append(self.about["images"][item])
            explained += used[-1]["explained"]
        ids = {image["image_id"] for image in used}
        rows = [row for name in methods for row in self.rows if row["method"] == name and row["image_id"] in ids]
        total = sum(image["objects"] for image in used)
        return Evaluation(tuple(rows), total, total - explained)


def _typed(row: dict[str, str]) -> Row:
    whole = ("image_id", "object", "label")
    return {
        name: value if name == "method" else int(value) if name in whole else float(value)
        for name, value in row.items()
    }


def _opened(path: Path, mode: str) -> IO[str]:
    """Rows as text; those whose name ends in ``.gz`` are compressed."""
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, f"{mode}t", newline="", encoding="utf-8")


def _settings(path: Path) -> Path:
    """Where the settings of rows lie: ``a.json`` beside ``a.csv`` or ``a.csv.gz``.

    Raises:
        ValueError: a path of another kind, whose settings could lie where the rows or those of other rows do.
    """
    name = path.name.removesuffix(".gz")
    if not name.endswith(".csv"):
        raise ValueError(f"{path} is no place for rows, which are CSV: give a path that ends in .csv or .csv.gz.")
    return path.with_name(f"{name.removesuffix('.csv')}.json")


def _read(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """What an earlier run left: settings that know of no picture yet, later rows and settings.

    A run that was stopped between writing its two files leaves rows of one picture that the settings do not know yet.

    Raises:
        ValueError: one of the files is missing, damaged, or from another run or program than the other.
    """
    beside = _settings(path)
    try:
        kept = json.loads(beside.read_text(encoding="utf-8"))
        due = {
            (image["image_id"], method): image["explained"]
            for image in kept["images"].values()
            for method in image["methods"]
        }
        rows = []
        if path.is_file():
            with _opened(path, "r") as file:
                rows = [_typed(row) for row in csv.DictReader(file)]
        rows = [row for row in rows if (row["image_id"], row["method"]) in due]
        whole = Counter((row["image_id"], row["method"]) for row in rows) == Counter(due)
        readable = whole and kept["settings"].keys() and kept["methods"].keys()
    except (OSError, EOFError, zlib.error, csv.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        readable = False
    if not readable and not path.is_file():
        raise ValueError(
            f"{beside} is in the way, since the settings of {path.name} would be written there and it holds something "
            "else: give another path."
        )
    if not readable:
        raise ValueError(
            f"{path} cannot be used, since it and {beside.name} beside it are not what one run of evaluate left: "
            "give another path or delete both."
        )
    return kept, rows


def _check_same(path: Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    for name, value in kept.items():
        if asked.get(name) != value:
            raise ValueError(
                f"{path} was made with {name} = {value}, not {asked.get(name)}: give another path or delete it."
            )


def begin_with(rows: Path, path: Path) -> None:
    """Copy rows that were kept elsewhere, if there are any, so that an evaluation goes on from them.

    Args:
        rows: CSV that :func:`evaluate` made; its ``.json`` lies beside it.
        path: where the evaluation will keep its own. What is there stays if it went on from these rows, else it is
            replaced.

    Raises:
        ValueError: the rows cannot be read, or their settings would lie where those of ``path`` do.
        OSError: ``path`` cannot be written, see :func:`~odam_lib.files.owned`.
    """
    if not rows.is_file():
        return
    if _settings(rows).resolve() == _settings(path).resolve():
        raise ValueError(f"{path} would share its settings with {rows}, which are to stay as they are: give another.")
    _read(rows)
    with owned(path), owned(_settings(path)):
        if _goes_on(path, rows):
            return
        with write_whole(_settings(path)) as aside:
            shutil.copyfile(_settings(rows), aside)
        with write_whole(path) as aside, _opened(rows, "r") as kept, _opened(aside, "w") as copy:
            shutil.copyfileobj(kept, copy)


def _goes_on(path: Path, rows: Path) -> bool:
    """Whether a path holds whole rows, and among them all of some others."""
    try:
        _read(path)
        with _opened(path, "r") as ours, _opened(rows, "r") as theirs:
            return set(theirs) <= set(ours)
    except (ValueError, OSError):
        return False


def smoothings() -> dict[str, Explainer]:
    """What the ablation of ODAM's smoothing compares: none, fixed in feature cells, and shares of the short side."""
    fixed = {f"fixed {sigma:g}": ODAM(smoothing=sigma) for sigma in (0.5, 1.0, 2.0)}
    adaptive = {f"adaptive {share:g}": ODAM(share=share) for share in (0.05, 0.1, 0.2, 0.3)}
    return {"none": ODAM(smoothing=None)} | fixed | adaptive


def slow() -> dict[str, Explainer]:
    """Methods that take seconds for each object: left out unless they are asked for."""
    return {"BBAM": BBAM()}


def windowed() -> dict[str, Explainer]:
    """What Odam-Train trains: ODAM on the window of a prediction, left out unless it is asked for."""
    return {"ODAM window": ODAM(derivative="window")}


def comparison(masks: int = 1000, seed: int = 0) -> dict[str, Explainer]:
    """The methods that the notebook compares, and the controls."""
    return {
        "ODAM": ODAM(),
        "ODAM combined": Combined(ODAM()),
        "Grad-CAM": GradCAM(),
        "Grad-CAM++": GradCAMPlusPlus(),
        "D-RISE": DRISE(masks, seed=seed),
        "box fill": BoxFill(),
        "centred Gaussian": CentredGaussian(),
        "random": RandomMap(seed=seed),
        "Eigen-CAM": EigenCAM(),
    }
