"""Rows of a run that goes on: what is kept already is not computed again."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from odam_lib.evaluation.rows import KEYS, Evaluation, Row, read_rows, settings_path
from odam_lib.files import open_rows, write_whole


class Store:
    """Rows in memory and, if there is a path, on disk.

    Raises:
        ValueError: the path holds rows of other settings, or of the same methods made otherwise, or something else.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any], methods: dict[str, str]) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.about: dict[str, Any] = {"settings": settings, "methods": methods, "images": {}}
        if path is None or not (path.is_file() or settings_path(path).is_file()):
            return
        kept, self.rows = read_rows(path)
        self._check_same(kept["settings"], settings)
        self._check_same({name: kept["methods"][name] for name in methods if name in kept["methods"]}, methods)
        self.about |= {
            "settings": kept["settings"],
            "methods": kept["methods"] | methods,
            "images": kept["images"],
        }

    def _check_same(self, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        for name, value in kept.items():
            if asked.get(name) != value:
                raise ValueError(
                    f"{self.path} was made with {name} = {value}, not {asked.get(name)}: "
                    "give another path or delete it."
                )

    def check_first(self, dataset: Any) -> None:
        """Refuse another data set than the kept rows are from."""
        for item, image in list(self.about["images"].items())[:1] if len(dataset) else ():
            target = dataset[int(item)][1]
            self.check_image(int(item), int(target["image_id"]))
            if len(target["labels"]) != image["objects"]:  # scenes of another setting have the same ids
                raise ValueError(f"{self.path} was made on another data set: give another path or delete it.")

    def check_image(self, item: int, image_id: int) -> None:
        """Refuse a picture if the rows that are kept of its item are of another one."""
        known = self.about["images"].get(str(item), {"image_id": image_id})["image_id"]
        if known != image_id:
            raise ValueError(
                f"{self.path} was made on another data set, where item {item} was image {known}, not {image_id}: "
                "give another path or delete it."
            )

    def explained(self, item: int) -> int:
        """How many objects of a picture were explained."""
        return self.about["images"][str(item)]["explained"]

    def measured(self, item: int) -> list[str]:
        """The methods of which this picture has rows."""
        return self.about["images"].get(str(item), {"methods": []})["methods"]

    def add(self, item: int, image_id: int, rows: list[Row], methods: list[str], objects: int, explained: int) -> None:
        """Take in the rows of some methods on one picture and write everything."""
        if self.rows and rows and self.rows[0].keys() != rows[0].keys():
            changed = ", ".join(sorted(self.rows[0].keys() ^ rows[0].keys()))
            raise ValueError(
                f"{self.path} was made by another version, which differs in the columns {changed}: "
                "give another path or delete it."
            )
        if self.path is not None and not self.about["images"]:
            self._write_settings(self.path)  # so that whenever there are rows, it is known whose they are
        image = {"image_id": image_id, "objects": objects, "explained": explained}
        self.about["images"][str(item)] = image | {"methods": self.measured(item) + methods}
        self.rows += rows
        if self.path is None:
            return
        with write_whole(self.path) as aside, open_rows(aside, "wt") as file:
            writer = csv.DictWriter(file, list(self.rows[0]) if self.rows else KEYS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        self._write_settings(self.path)

    def _write_settings(self, path: Path) -> None:
        with write_whole(settings_path(path)) as aside:
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
