"""Many methods, many metrics, one table: each well-detected object of a data set explained and judged.

``python -m odam_lib.evaluation --help`` makes the rows that are bundled under ``data/evaluation``.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou
from tqdm import tqdm

from odam_lib.datasets.categories import check_numbering
from odam_lib.detectors.base import Detector
from odam_lib.detectors.weights import name_weights
from odam_lib.evaluation.judges import JUDGES, Judge, Picture
from odam_lib.evaluation.rows import Evaluation, Row, settings_path
from odam_lib.evaluation.store import Store
from odam_lib.explainers.explain import Explainer
from odam_lib.files import owned, user_path
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.metrics.matching import match


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
        path: a CSV, compressed if it is called ``.csv.gz``, that keeps the rows, with a ``.json`` of the settings
            beside it. What it holds already is not computed again, so that an interrupted run goes on; it is rewritten
            whole after each picture. No other run may write to it meanwhile.

    Returns:
        The rows; fewer objects than asked for if the data set ends before.

    Raises:
        ValueError: no method, a data set of another numbering or that a judge cannot work on, a picture without masks
            where one is needed, or a ``path`` that has another suffix, or whose rows were made with other settings or
            weights, of other pictures, or cannot be read.
        OSError: ``path`` cannot be written, see :func:`~odam_lib.files.owned`.
    """
    if not methods or objects < 1:
        raise ValueError("There is nothing to evaluate: give at least one method and one object.")
    check_numbering(dataset, detector.categories)
    for judge in judges:
        judge.check(dataset)
    settings = {
        "detector": detector.name,
        "weights": name_weights(detector),
        "layer": layer or detector.layers[0],
        "least_iou": least_iou,
        "score_threshold": score_threshold,
        "judges": [repr(judge) for judge in judges],
    }
    path = None if path is None else user_path(path)
    with ExitStack() as stack:
        for file in () if path is None else (path, settings_path(path)):
            stack.enter_context(owned(file))
        store = Store(path, settings, {name: repr(method) for name, method in methods.items()})
        store.check_first(dataset)
        bar = stack.enter_context(tqdm(total=objects, desc=detector.name, unit="object"))
        explained = 0
        for item in range(len(dataset)):
            if explained >= objects:
                break
            if missing := [name for name in methods if name not in store.measured(item)]:
                image, target = dataset[item]
                _check_truth(target, judges)
                image_id = int(target["image_id"])
                store.check_image(item, image_id)
                picture = open_picture(detector, dataset, item, image, target, least_iou, score_threshold, layer)
                rows = [row for name in missing for row in _judge(picture, name, methods[name], judges)]
                store.add(item, image_id, rows, missing, len(target["labels"]), len(picture.own))
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
