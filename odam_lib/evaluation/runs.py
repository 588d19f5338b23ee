"""Many methods, many metrics, one table: each well-detected object of a data set explained and judged.

``python -m odam_lib.evaluation --help`` makes the rows that are bundled under ``data/evaluation``.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torchvision.ops import box_iou
from tqdm import tqdm

from odam_lib.datasets.categories import check_numbering
from odam_lib.detections import check_threshold
from odam_lib.detectors.base import Detector
from odam_lib.detectors.weights import name_weights
from odam_lib.evaluation.judges import JUDGES, Judge, Picture
from odam_lib.evaluation.kept import Row
from odam_lib.evaluation.memory import halve, is_out_of_memory, release_memory
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.store import MADE_BY, Measured, Store
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels import checks
from odam_lib.metrics.matching import match
from odam_lib.row_store import open_store

T = TypeVar("T")


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
        least_iou: least IoU of a detection with its object; the paper keeps more than 0.9.
        score_threshold: least score of a detection.
        layer: layer of the detector; ``None`` for its default.
        path: an SQLite file, ``.sqlite``, that keeps the rows with their settings, see
            :mod:`odam_lib.evaluation.store`. What it holds already is not computed again, so that an interrupted run
            goes on; each picture is written as it is done. No other run may write to it meanwhile.

    Returns:
        The rows; fewer objects than asked for if the data set ends before.

    Raises:
        ValueError: no method, a data set of another numbering or that a judge cannot work on, a picture without masks
            where one is needed, or a ``path`` that has another suffix, or whose rows were made with other settings or
            weights, of other pictures, or cannot be read.
        OSError: ``path`` cannot be written, see :func:`~odam_lib.files.owned`.
    """
    work = Work(dataset, dict(methods), tuple(judges), least_iou, score_threshold, layer)
    settings = work.check(detector, objects)
    with open_run(work, settings, path) as run, tqdm(total=objects, desc=detector.name, unit="object") as bar:
        explained = 0
        for item in range(len(dataset)):
            if explained >= objects:
                break
            if missing := run.missing(item):
                run.store.add(work.measure(detector, item, missing))
            explained += run.store.explained(item)
            bar.update(run.store.explained(item))
        return run.choose(objects)


@dataclass(frozen=True, eq=False)
class Work:
    """What is measured on each picture of a data set; arguments as for :func:`evaluate`."""

    dataset: Any
    methods: Mapping[str, Explainer]
    judges: Sequence[Judge]
    least_iou: float
    score_threshold: float
    layer: str | None

    def check(self, detector: Detector, objects: int) -> dict[str, Any]:
        """Check what can be checked before the work; returns what rows are made with beside the methods.

        Raises:
            TypeError, ValueError: nothing to do, a data set that does not fit, a threshold or a layer that cannot be.
        """
        if not self.methods or objects < 1:
            raise ValueError("There is nothing to evaluate: give at least one method and one object.")
        check_numbering(self.dataset, detector.categories)
        for judge in self.judges:
            judge.check(self.dataset)
        return {
            "detector": detector.name,
            "weights": name_weights(detector),
            "layer": detector.choose_layer(self.layer),
            "least_iou": checks.number("The least IoU", self.least_iou, "(0, 1]"),
            "score_threshold": check_threshold(self.score_threshold),
            "judges": [repr(judge) for judge in self.judges],
        }

    def load(self, detector: Detector, item: int) -> Picture:
        """One picture with the detections that are to be explained.

        Raises:
            ValueError: the picture has no masks where one is needed.
        """
        image, target = self.dataset[item]
        _check_truth(target, self.judges)
        thresholds = self.least_iou, self.score_threshold
        return open_picture(detector, self.dataset, item, image, target, *thresholds, self.layer)

    def measure(
        self, detector: Detector, item: int, names: Sequence[str], weighed: Mapping[str, "Weighed"] | None = None
    ) -> Measured:
        """Explain and judge one picture by some of the methods.

        Args:
            detector: what is explained.
            item: of the data set.
            names: of the methods.
            weighed: of methods whose masks were weighed before.

        Raises:
            ValueError: the picture has no masks where one is needed.
        """

        def do(work: Work) -> Measured:
            picture, known = work.load(detector, item), weighed or {}
            made = (_judge(picture, name, work.methods[name], work.judges, known.get(name)) for name in names)
            rows, target = [row for each in made for row in each], picture.target
            return Measured(item, int(target["image_id"]), len(target["labels"]), len(picture.own), names, rows)

        return self._in_memory(do)

    def weigh(self, detector: Detector, item: int, name: str, part: range) -> "Weighed":
        """Weigh some masks of one picture for a method that is D-RISE; see :meth:`DRISE.weigh`."""

        def do(work: Work) -> Weighed:
            picture, method, start = work.load(detector, item), work.methods[name], time.perf_counter()
            assert isinstance(method, DRISE)
            return Weighed(method.weigh(picture.trace, picture.detections, part).cpu(), time.perf_counter() - start)

        return self._in_memory(do)

    def _in_memory(self, do: "Callable[[Work], T]") -> T:
        """Do something, in smaller and smaller batches where memory does not suffice."""
        work = self
        while True:
            try:
                return do(work)
            except (RuntimeError, MemoryError) as error:
                smaller = work.halved()
                if not is_out_of_memory(error) or smaller is work:
                    raise
                work = smaller
            release_memory()  # of the pass that failed, which lived as long as its exception

    def halved(self) -> "Work":
        """The same in batches of half the size, which changes no number; itself if they are of one already."""
        methods, judges = halve(self.methods), halve(self.judges)
        if methods is self.methods and judges is self.judges:
            return self
        return replace(self, methods=methods, judges=judges)


@dataclass(frozen=True, eq=False)
class Weighed:
    """The weights of D-RISE's masks for the detections of a picture, found elsewhere.

    Attributes:
        weights: ``Tensor[N, masks]``.
        seconds: that they took.
    """

    weights: Tensor
    seconds: float


@dataclass(frozen=True, eq=False)
class Run:
    """Rows of some work as they are kept."""

    work: Work
    store: Store

    def missing(self, item: int) -> list[str]:
        """The methods that were not measured on a picture yet."""
        measured = self.store.measured(item)
        return [name for name in self.work.methods if name not in measured]

    def choose(self, objects: int) -> Evaluation:
        """The rows of the first pictures that hold so many explained objects."""
        rows, total, explained = self.store.choose(list(self.work.methods), objects, len(self.work.dataset))
        return Evaluation(rows, total, total - explained)


@contextmanager
def open_run(work: Work, settings: Mapping[str, Any], path: str | Path | None) -> Iterator[Run]:
    """Open what keeps the rows of some work.

    Args:
        work: what is measured.
        settings: what :meth:`Work.check` returned.
        path: as for :func:`evaluate`.

    Raises:
        ValueError, OSError: as for :func:`evaluate`.
    """
    with open_store(path, MADE_BY) as kept:
        store = Store(kept, settings, {name: repr(method) for name, method in work.methods.items()})
        store.check_first(work.dataset)
        yield Run(work, store)


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


def _judge(
    picture: Picture, name: str, method: Explainer, judges: Sequence[Judge], weighed: Weighed | None
) -> list[Row]:
    if not len(picture.own):
        return []
    start = time.perf_counter()
    if weighed is None:
        heat_maps = method(picture.trace, picture.detections, ATTRIBUTES)
    else:
        assert isinstance(method, DRISE)
        weights, start = weighed.weights.to(picture.detections.boxes), start - weighed.seconds
        heat_maps = method.combine(
            picture.trace, picture.detections, ATTRIBUTES, lambda part, _: weights[:, part.start : part.stop]
        )
    seconds = (time.perf_counter() - start) / len(picture.own)
    maps = heat_maps.select("class").normalized().to_image()[:, 0]
    numbers: dict[str, Tensor] = {}
    for judge in judges:
        numbers |= judge(picture, maps, heat_maps)
    overlap = box_iou(picture.detections.boxes.cpu(), picture.target["boxes"][picture.own]).diagonal()
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


def _check_truth(target: Mapping[str, Any], judges: Sequence[Judge]) -> None:
    for judge in judges:
        for key in judge.needs:
            if key not in target:
                raise ValueError(
                    f"Image {int(target['image_id'])} has no {key}, which {type(judge).__name__} needs: "
                    "give a data set with them or leave that metric out."
                )
