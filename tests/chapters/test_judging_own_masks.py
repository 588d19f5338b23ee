"""Which maps lie on their own object: counts worked out by hand, and the bundled rows."""

import math

import pandas as pd
import pytest
import torch
from odam_chapters.judging.own_masks import OF_ALL, OF_CLASS, count_own_mask_wins, read_rows, round_largest

from odam_lib.files import data_root


def row(method: str, own: float, of_class: float, of_all: float) -> dict[str, object]:
    return {"method": method, "own": own, OF_CLASS: of_class, OF_ALL: of_all}


def test_objects_without_another_one_are_not_counted_and_a_tie_is_no_win() -> None:
    rows = pd.DataFrame(
        [row("a", 0.5, 0.4, 0.6), row("a", 0.3, math.nan, 0.1), row("a", 0.2, 0.2, 0.2), row("b", 0.1, 0.9, 0.9)]
    )
    assert count_own_mask_wins(rows, "a", OF_CLASS) == (1, 2)
    assert count_own_mask_wins(rows, "a", OF_ALL) == (1, 3)
    assert count_own_mask_wins(rows, "b", OF_ALL) == (0, 1)


def test_no_share_is_written_as_nothing() -> None:
    assert round_largest(torch.zeros(0)) == "" and round_largest(torch.tensor([0.25, 0.5])) == 0.5


def test_other_files_are_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no rows of own masks"):
        read_rows(tmp_path / "absent.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no rows of own masks"):
        read_rows(tmp_path / "other.csv")


def test_on_photographs_maps_lie_on_their_own_object() -> None:
    """The paper's first claim, on 100 COCO pictures: at least 95 % against other objects of the class."""
    rows = read_rows(data_root() / "evaluation" / "own-masks-yolov3-tiny.csv")
    wins, number = count_own_mask_wins(rows, "ODAM", OF_CLASS)
    assert number >= 100 and wins / number >= 0.95
    others, same = count_own_mask_wins(rows, "Grad-CAM", OF_CLASS)
    assert same == number and others < wins / 2
