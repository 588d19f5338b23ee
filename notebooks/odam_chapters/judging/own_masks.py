"""Has a class map more energy on its own object than on any other one? One row an object and method.

``python -m odam_chapters.judging.own_masks --help`` makes the rows that are bundled under ``data/evaluation``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from odam_chapters.rows import read_rows as read_csv
from odam_lib import files
from odam_lib.command import command
from odam_lib.datasets.arguments import add_dataset_arguments, add_split_argument, open_from
from odam_lib.datasets.categories import relabel
from odam_lib.detections import check_threshold
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.judges import Picture
from odam_lib.evaluation.runs import open_picture
from odam_lib.explainers.grad_cam import GradCAM
from odam_lib.explainers.odam import ODAM
from odam_lib.metrics.localization import energy_inside

METHODS = {"ODAM": ODAM(), "Grad-CAM": GradCAM()}
OF_CLASS, OF_ALL = "best of its class", "best of all"
"""Columns: the largest share of the map's energy on another object of the same class, and on any other object."""


KINDS = {
    **dict.fromkeys(("image_id", "object", "label"), int),
    "score": float,
    "method": str,
    "own": float,
    **dict.fromkeys((OF_CLASS, OF_ALL), lambda text: float(text or "nan")),
}
"""Columns, and what reads their text."""


def round_largest(shares: Tensor) -> float | str:
    """The largest of some shares; empty where there is none."""
    return float(f"{float(shares.max()):.4g}") if len(shares) else ""


def judge_by_masks(picture: Picture) -> Iterator[dict[str, object]]:
    """The share of each class map's energy on its own mask, on the best other one of its class, and of any class."""
    labels, masks = picture.target["labels"], picture.target["masks"]
    for name, method in METHODS.items():
        heats = method(picture.trace, picture.detections, ("class",)).to_image()[:, 0]
        for heat, own, score in zip(heats, picture.own.tolist(), picture.detections.scores.tolist()):
            shares = energy_inside(heat, masks)
            others = torch.arange(len(labels)) != own
            yield {
                "image_id": int(picture.target["image_id"]),
                "object": own,
                "label": int(labels[own]),
                "score": float(f"{score:.4g}"),
                "method": name,
                "own": float(f"{float(shares[own]):.4g}"),
                OF_CLASS: round_largest(shares[others & (labels == labels[own])]),
                OF_ALL: round_largest(shares[others]),
            }


def read_rows(path: Path) -> pd.DataFrame:
    """The rows that :func:`main` wrote; a share is NaN where there is no other object.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file holds something else, or is damaged.
    """
    return read_csv(path, "rows of own masks", "python -m odam_chapters.judging.own_masks", KINDS)


def count_own_mask_wins(rows: pd.DataFrame, method: str, others: str) -> tuple[int, int]:
    """How many maps of a method have more energy on their own object than on the best other one, and of how many.

    Args:
        rows: of :func:`read_rows`.
        method: its name there.
        others: ``OF_CLASS`` or ``OF_ALL``; objects without such another one are not counted.
    """
    compared = rows[(rows["method"] == method) & rows[others].notna()]
    return int((compared["own"] > compared[others]).sum()), len(compared)


@command
def main() -> None:
    """Explain every object that is found and write the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_chapters.judging.own_masks",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=files.user_path, help="CSV of the rows")
    add_dataset_arguments(parser, "coco")
    add_split_argument(parser)
    parser.add_argument("--detector", default="yolov3-tiny", help="a name of load_detector or a training's folder")
    parser.add_argument("--score-threshold", type=float, default=0.3, help="least score of a detection")
    asked = parser.parse_args()
    check_threshold(asked.score_threshold)
    with files.owned(asked.output):
        dataset = open_from(asked)
        if dataset.no_masks:
            raise ValueError(f"Every object needs a mask: {dataset.no_masks}. Give other data.")
        detector = load_detector(asked.detector)
        dataset = relabel(dataset, detector.categories)
        found: list[dict[str, object]] = []
        for item in range(len(dataset)):
            picture = open_picture(detector, dataset, item, *dataset[item], 0.5, asked.score_threshold)
            if len(picture.own):
                found += judge_by_masks(picture)
        files.write_rows(asked.output, found)


if __name__ == "__main__":
    main()
