"""The bundled rows of every comparison."""

from collections.abc import Mapping

from odam_lib.evaluation.rows import Evaluation
from odam_lib.files import from_root

FILES: Mapping[str, str] = {
    "fcos-scenes": "FCOS",
    "faster-rcnn-scenes": "Faster R-CNN",
    "detr-scenes": "DETR",
    "yolov3-tiny": "photographs",
    "rivals-fcos-scenes": "FCOS, newer methods",
    "rivals-faster-rcnn-scenes": "Faster R-CNN, newer methods",
    "rivals-yolov3-tiny": "photographs, newer methods",
    "rivals-costly-fcos-scenes": "FCOS, slow methods",
    "bbam-faster-rcnn-scenes": "Faster R-CNN, BBAM",
    "bbam-fcos-groupnorm-scenes": "FCOS with GroupNorm, BBAM",
    "bbam-yolov3-tiny": "photographs, BBAM",
    "drise-masks-fcos-scenes": "FCOS, coarser masks",
}
"""What rows are of, by the name of their file; a file that is not there was not measured yet."""


def read_all(folder: str) -> dict[str, Evaluation]:
    """The rows of ``FILES`` that a folder holds, by what they are of; none where no folder is given.

    Raises:
        ValueError: a file cannot be read, or is of other weights than those here.
    """
    paths = {what: from_root(folder) / f"{file}.csv.gz" for file, what in FILES.items()} if folder else {}
    return {what: Evaluation.load(path) for what, path in paths.items() if path.is_file()}
