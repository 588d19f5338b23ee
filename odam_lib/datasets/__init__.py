"""Data sets: the synthetic scene generator and readers of published detection data."""

from typing import TYPE_CHECKING

from odam_lib.lazy import load_lazily

if TYPE_CHECKING:
    from odam_lib.datasets.cached import Cached as Cached
    from odam_lib.datasets.categories import relabel as relabel, unknown_classes as unknown_classes
    from odam_lib.datasets.coco import Coco as Coco, CocoFormat as CocoFormat
    from odam_lib.datasets.crowdhuman import CrowdHuman as CrowdHuman
    from odam_lib.datasets.opening import KINDS as KINDS, open_dataset as open_dataset
    from odam_lib.datasets.photos import photo as photo, photo_names as photo_names
    from odam_lib.datasets.scenes import Scenes as Scenes
    from odam_lib.datasets.voc import Voc as Voc, VocFormat as VocFormat
    from odam_lib.datasets.yolo import YoloFormat as YoloFormat

_HOMES = {
    "Cached": "cached",
    "Coco": "coco",
    "CocoFormat": "coco",
    "CrowdHuman": "crowdhuman",
    "KINDS": "opening",
    "Scenes": "scenes",
    "Voc": "voc",
    "VocFormat": "voc",
    "YoloFormat": "yolo",
    "open_dataset": "opening",
    "photo": "photos",
    "photo_names": "photos",
    "relabel": "categories",
    "unknown_classes": "categories",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = load_lazily(__name__, _HOMES)
