"""Rows of a run that goes on: what is kept already is not computed again.

Tables of the file: ``settings`` and ``methods`` (name, JSON of what it is made with) say what the rows are of;
``pictures`` has one row for each that was looked at (``item`` of the data set, ``image_id``, how many ``objects`` it
has and how many were ``explained``), ``measured`` one for each of them and method; ``rows`` one for each explained
object and method, a column a metric. See :mod:`odam_lib.row_store`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odam_lib.evaluation.kept import About, Row, read_csv
from odam_lib.files import user_path
from odam_lib.row_store import SUFFIX, RowStore, open_store, read_store

MADE_BY = "odam_lib.evaluation"
IN_ORDER = "ORDER BY item, (SELECT m.rowid FROM methods AS m WHERE m.name = method), object"


@dataclass(frozen=True)
class Measured:
    """What was found in one picture.

    Attributes:
        item: of the data set.
        image_id: the number that the data set gives the picture.
        objects: how many true objects it has.
        explained: how many of them had a detection to explain.
        methods: that were measured.
        rows: one for each explained object and method.
    """

    item: int
    image_id: int
    objects: int
    explained: int
    methods: Sequence[str]
    rows: Sequence[Row]


class Store:
    """Rows in a file, or in memory.

    Raises:
        ValueError: the file holds rows of other settings, or of the same methods made otherwise.
    """

    def __init__(self, kept: RowStore, settings: Mapping[str, Any], methods: Mapping[str, str]) -> None:
        self.kept, self._methods = kept, methods
        kept.check_settings(settings)
        kept.check_same({name: made for name, made in _methods(kept).items() if name in methods}, methods)

    def check_first(self, dataset: Any) -> None:
        """Refuse another data set than the kept rows are from."""
        for picture in list(self.kept.select("pictures", "ORDER BY item LIMIT 1")) if len(dataset) else ():
            target = dataset[picture["item"]][1]
            self.check_image(picture["item"], int(target["image_id"]))
            if len(target["labels"]) != picture["objects"]:  # scenes of another setting have the same ids
                raise ValueError(f"{self.kept.path} was made on another data set: give another path or delete it.")

    def check_image(self, item: int, image_id: int) -> None:
        """Refuse a picture if the rows that are kept of its item are of another one."""
        for picture in self._of("pictures", item):
            if picture["image_id"] != image_id:
                raise ValueError(
                    f"{self.kept.path} was made on another data set, where item {item} was image "
                    f"{picture['image_id']}, not {image_id}: give another path or delete it."
                )

    def explained(self, item: int) -> int:
        """How many objects of a picture were explained; 0 if it was not looked at."""
        return sum(picture["explained"] for picture in self._of("pictures", item))

    def measured(self, item: int) -> list[str]:
        """The methods of which this picture has rows."""
        return [one["method"] for one in self._of("measured", item)]

    def add(self, found: Measured) -> None:
        """Keep what was found in one picture, all of it or nothing.

        Raises:
            ValueError: rows of another picture are kept of the item, or of other columns.
            OSError: it cannot be written.
        """
        self.check_image(found.item, found.image_id)
        with self.kept.transaction():
            if not self._of("pictures", found.item):
                counts = {"objects": found.objects, "explained": found.explained}
                picture: dict[str, Any] = {"item": found.item, "image_id": found.image_id, **counts}
                self.kept.insert("pictures", [picture], ["item"])
            known = _methods(self.kept)
            new = [
                {"name": name, "value": json.dumps(self._methods[name])} for name in found.methods if name not in known
            ]
            self.kept.insert("methods", new, ["name"])
            measured = [{"item": found.item, "method": name} for name in found.methods]
            self.kept.insert("measured", measured, ["item", "method"])
            self.kept.insert("rows", ({"item": found.item, **row} for row in found.rows), ["method", "item", "object"])

    def _of(self, table: str, item: int) -> list[dict[str, Any]]:
        return list(self.kept.select(table, "WHERE item = ?", [item]))

    def choose(self, methods: Sequence[str], objects: int, items: int) -> tuple[tuple[Row, ...], int, int]:
        """The rows of these methods, of the first of so many pictures that hold so many explained objects.

        Returns:
            The rows, how many objects these pictures have, and how many of them were explained.
        """
        last, total, explained = -1, 0, 0
        for picture in self.kept.select("pictures", "WHERE item < ? ORDER BY item", [items]):
            if explained >= objects:
                break
            last, total, explained = picture["item"], total + picture["objects"], explained + picture["explained"]
        rows = [
            row
            for name in methods
            for row in self.kept.select("rows", "WHERE method = ? AND item <= ? ORDER BY item, object", [name, last])
        ]
        return tuple(map(_without_item, rows)), total, explained


def read_rows(path: Path) -> tuple[About, list[Row]]:
    """All rows of a run, from its own file or from the CSV that was written of it.

    Raises:
        ValueError: the file cannot be used.
    """
    if path.suffix != SUFFIX:
        return read_csv(path)
    with read_store(path, MADE_BY) as kept:
        return _read(kept)


def _read(kept: RowStore) -> tuple[About, list[Row]]:
    measured: dict[int, list[str]] = {}
    for one in kept.select("measured", "ORDER BY rowid"):
        measured.setdefault(one["item"], []).append(one["method"])
    images = {
        str(one.pop("item")): {**one, "methods": measured.get(item, [])}
        for one in kept.select("pictures", "ORDER BY item")
        for item in [one["item"]]
    }
    rows = [_without_item(row) for row in kept.select("rows", IN_ORDER)]
    due = sum(image["explained"] * len(image["methods"]) for image in images.values())
    if len(rows) != due:
        raise ValueError(
            f"{kept.path} has {len(rows)} rows where its pictures have {due}: rows were taken from it by another "
            "program; restore it or delete it."
        )
    return {"settings": kept.settings, "methods": _methods(kept), "images": images}, rows


def begin_with(rows: str | Path, path: str | Path) -> None:
    """Copy rows that were kept elsewhere, if there are any, so that an evaluation goes on from them.

    Args:
        rows: what :func:`read_rows` reads.
        path: where the evaluation will keep its own; what is there already stays.

    Raises:
        ValueError: the rows cannot be read, or ``path`` holds rows of other settings or something else.
        OSError: ``path`` cannot be written, see :func:`~odam_lib.files.owned`.
    """
    rows = user_path(rows)
    if not rows.is_file():
        return
    about, known = read_rows(rows)
    of_picture: dict[tuple[int, str], list[Row]] = {}
    for row in known:
        of_picture.setdefault((int(row["image_id"]), str(row["method"])), []).append(row)
    with open_store(path, MADE_BY) as kept, kept.transaction():
        store = Store(kept, about["settings"], about["methods"])
        for item, image in about["images"].items():
            methods = [name for name in image["methods"] if name not in store.measured(int(item))]
            new = [row for name in methods for row in of_picture.get((image["image_id"], name), ())]
            store.add(Measured(int(item), image["image_id"], image["objects"], image["explained"], methods, new))


def _methods(kept: RowStore) -> dict[str, str]:
    return {one["name"]: json.loads(one["value"]) for one in kept.select("methods", "ORDER BY rowid")}


def _without_item(row: dict[str, Any]) -> Row:
    return {name: value for name, value in row.items() if name != "item"}
