"""What it costs to keep the rows of an evaluation: does a picture cost more when many are kept already?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from odam_chapters.timing import Cost, measure
from odam_lib.evaluation.kept import Row
from odam_lib.evaluation.store import MADE_BY, Measured, Store
from odam_lib.kernels import checks
from odam_lib.row_store import open_store

METHODS = ("one", "two")
OBJECTS, METRICS = 4, 30
"""Of the made-up rows: objects a picture, and columns beside those that name the object."""
ADDING, OPENING = "adding a picture", "opening"


def time_storing(kept: Sequence[int] = (100, 1000, 10_000), added: int = 9) -> dict[str, dict[int, Cost]]:
    """The cost of a run's store when so many pictures are kept in it, without any detector: rows are made up.

    Args:
        kept: numbers of pictures.
        added: so many further ones are added to each store, one transaction each, on the disk of temporary files.

    Returns:
        For ``ADDING`` and ``OPENING`` the cost by number of pictures; adding is the median picture's.

    Raises:
        TypeError, ValueError: a number is not at least 1.
    """
    costs: dict[str, dict[int, Cost]] = {ADDING: {}, OPENING: {}}
    for number in sorted(checks.count("kept", one) for one in kept):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.sqlite"
            with _opened(path) as store, store.kept.transaction():
                for item in range(number):
                    store.add(make_up(item))
            costs[OPENING][number] = measure(lambda: _open_once(path))  # noqa: B023 (called at once)
            with _opened(path) as store:
                items = count(number)
                costs[ADDING][number] = measure(lambda: store.add(make_up(next(items))), added)  # noqa: B023
    return costs


def make_up(item: int) -> Measured:
    """What an evaluation might have found in a picture."""
    rows: list[Row] = [
        {"image_id": item, "object": number, "label": 1, "iou": 0.9, "score": 0.8, "method": method, "seconds": 0.01}
        | {f"metric {column}": 0.001 * (item + column) for column in range(METRICS)}
        for method in METHODS
        for number in range(OBJECTS)
    ]
    return Measured(item, item, OBJECTS, OBJECTS, METHODS, rows)


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    with open_store(path, MADE_BY) as kept:
        yield Store(kept, {"detector": "none"}, {name: name for name in METHODS})


def _open_once(path: Path) -> None:
    with _opened(path):
        pass
