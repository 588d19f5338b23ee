"""The bundled rows of every comparison."""

from collections.abc import Mapping
from pathlib import Path

from odam_chapters.rows import read_rows
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.tables import write_markdown
from odam_lib.files import data_root

FILES: Mapping[str, str] = {
    "fcos-scenes": "FCOS",
    "faster-rcnn-scenes": "Faster R-CNN",
    "detr-scenes": "DETR",
    "yolov3-tiny": "photographs",
    "rivals-fcos-scenes": "FCOS, newer methods",
    "rivals-faster-rcnn-scenes": "Faster R-CNN, newer methods",
    "rivals-yolov3-tiny": "photographs, newer methods",
    "rivals-costly-fcos-scenes": "FCOS, slow methods",
    "bbam-fcos-scenes": "FCOS, BBAM",
    "bbam-faster-rcnn-scenes": "Faster R-CNN, BBAM",
    "bbam-fcos-groupnorm-scenes": "FCOS with GroupNorm, BBAM",
    "bbam-yolov3-tiny": "photographs, BBAM",
    "drise-masks-fcos-scenes": "FCOS, coarser masks",
}
"""What rows are of, by the name of their file; a file that is not there was not measured yet."""


BY = ("detector", "dataset", "method")
INSERTION = ("insertion", "insertion, zeros outwards", "insertion on blur", "object in the first sixth", "zero pixels")
"""Columns of the rows that say why insertion prefers D-RISE with some detectors; see ``tools/insertion_causes.py``."""


def read_all() -> dict[str, Evaluation]:
    """The bundled rows of ``FILES``, by what they are of.

    Raises:
        ValueError: a file cannot be read, or is of other weights than those here.
    """
    paths = {what: data_root() / "evaluation" / f"{file}.csv.gz" for file, what in FILES.items()}
    return {what: Evaluation.load(path) for what, path in paths.items() if path.is_file()}


def tabulate_insertion(path: Path) -> str:
    """The means of ``INSERTION`` as a Markdown table, a line for each detector, data set and method.

    Raises:
        FileNotFoundError: there are no such rows.
        ValueError: the file holds something else, or is damaged.
    """
    rows = read_rows(path, "rows of insertion", "python tools/insertion_causes.py", str)
    means = rows.astype(dict.fromkeys(INSERTION, float)).groupby(list(BY), sort=False)[list(INSERTION)].mean()
    lines = [[", ".join(case), *(f"{mean:.2f}" for mean in numbers)] for case, *numbers in means.itertuples()]
    return write_markdown([[", ".join(BY), *INSERTION], *lines])
