"""How well a detector detects."""

import contextlib
import io
from collections.abc import Iterable

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from odam_lib.datasets.targets import find_objects_problem
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector

_KINDS = (("boxes", "labels"), ("ignored", "ignored_labels"))


def compute_coco_ap(
    truth: list[dict[str, Tensor]], found: list[Detections], categories: tuple[str, ...]
) -> dict[str, float]:
    """Average precision as COCO defines it, by pycocotools.

    Args:
        truth: for each image ``boxes`` ``Tensor[N, 4]`` (x1, y1, x2, y2) and ``labels`` ``Tensor[N]``; there may be
            ``ignored`` ``Tensor[M, 4]`` and ``ignored_labels`` ``Tensor[M]``, regions in which, as in COCO's crowds,
            detections count neither as right nor as wrong.
        found: for each image what was detected, boxes in the same pixels.
        categories: class names, index 0 is the background.

    Returns:
        ``AP`` (mean over IoU 0.50 to 0.95), ``AP50``, and ``AP50 NAME`` for each class that occurs.

    Raises:
        ValueError: lists of different lengths, numbers that cannot be right (NaN, a label that is no category, a score
            outside [0, 1]; names the image), or no true object at all.
    """
    if len(truth) != len(found):
        raise ValueError(f"{len(truth)} images have truth and {len(found)} have detections: give one of each an image.")
    for number, (target, detections) in enumerate(zip(truth, found)):
        _check(number, target, detections, categories)
    annotations = [
        {"image_id": image, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)}
        for image, target in enumerate(truth)
        for crowd, (boxes, labels) in enumerate(_KINDS)
        if boxes in target
        for box, label in zip(_xywh(target[boxes]), target[labels].tolist())
    ]
    if all(annotation["iscrowd"] for annotation in annotations):
        raise ValueError("No image has a true object: average precision is undefined.")
    results = [
        {"image_id": image, "category_id": label, "bbox": box, "score": score}
        for image, detections in enumerate(found)
        for box, label, score in zip(_xywh(detections.boxes), detections.labels.tolist(), detections.scores.tolist())
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(len(truth))],
            "categories": [{"id": label, "name": name} for label, name in enumerate(categories)],
            "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results) if results else COCO(), iouType="bbox")
        evaluation.params.imgIds = list(range(len(truth)))
        evaluation.evaluate()
        evaluation.accumulate()
    return _summary(evaluation, categories)


@torch.no_grad()
def measure_ap(
    detector: Detector, dataset: Iterable[tuple[Tensor, dict]], score_threshold: float = 0.05
) -> dict[str, float]:
    """:func:`compute_coco_ap` of a detector on a data set of ``(image, target)``."""
    pairs = [(target, detector.detect(image, score_threshold).to("cpu")) for image, target in dataset]
    return compute_coco_ap([target for target, _ in pairs], [found for _, found in pairs], detector.categories)


def _check(number: int, target: dict[str, Tensor], detections: Detections, categories: tuple[str, ...]) -> None:
    place = f"Image {int(target['image_id'])}" if "image_id" in target else f"Image number {number}"
    objects = [
        (f"{place} in the truth", target.get(boxes), target.get(labels))
        for boxes, labels in _KINDS
        if boxes == "boxes" or boxes in target
    ]
    objects.append((f"{place} among the detections", detections.boxes, detections.labels))
    for where, boxes, labels in objects:
        if problem := find_objects_problem(boxes, labels, categories):
            raise ValueError(f"{where} {problem}: average precision is undefined.")
    if detections.scores.shape != detections.labels.shape:
        raise ValueError(
            f"{place} has {len(detections)} detections and {len(detections.scores)} scores: give one each."
        )
    wrong = ~((detections.scores >= 0) & (detections.scores <= 1))
    if wrong.any():
        raise ValueError(
            f"{place} among the detections has the score {float(detections.scores[wrong][0]):g}, which is not in "
            "[0, 1]: average precision is undefined."
        )


def _summary(evaluation: COCOeval, categories: tuple[str, ...]) -> dict[str, float]:
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, class], all areas, 100 detections
    known = precision > -1
    occurring = [column for column in range(precision.shape[2]) if known[:, :, column].any()]
    scores = {"AP": float(precision[known].mean()), "AP50": float(precision[0][known[0]].mean())}
    names = {column: categories[evaluation.params.catIds[column]] for column in occurring}
    return scores | {f"AP50 {name}": float(np.mean(precision[0, :, column])) for column, name in names.items()}


def _xywh(boxes: Tensor) -> list[list[float]]:
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).double().tolist()
