"""Keeping rows: a picture costs the same however many are kept."""

import pytest
from odam_chapters.costs.storing import ADDING, METHODS, OBJECTS, OPENING, make_up, time_storing

from odam_lib.evaluation.store import MADE_BY, Store
from odam_lib.row_store import open_store


def test_a_picture_costs_the_same_however_many_are_kept() -> None:
    costs = time_storing((10, 500), added=3)
    assert list(costs) == [ADDING, OPENING] and list(costs[ADDING]) == list(costs[OPENING]) == [10, 500]
    few, many = (costs[ADDING][number].seconds for number in (10, 500))
    assert many < 10 * few  # rewriting everything took fifty times as long
    with pytest.raises(ValueError, match="kept is 0"):
        time_storing((0,))


def test_made_up_rows_are_those_of_an_evaluation() -> None:
    with open_store(None, MADE_BY) as kept:
        store = Store(kept, {}, {name: name for name in METHODS})
        for item in (1, 0):
            store.add(make_up(item))
        rows, total, explained = store.choose(METHODS, 99, 2)
    assert len(rows) == 2 * OBJECTS * len(METHODS) and total == explained == 2 * OBJECTS
    assert rows[0] == make_up(0).rows[0]
