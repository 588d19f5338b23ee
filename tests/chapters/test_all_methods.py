"""The rows of every comparison: what is bundled is read, and their tables."""

import math

import pytest
from odam_chapters.all_methods.exercises import check_difference
from odam_chapters.all_methods.stored import FILES, read_all, tabulate_insertion

from odam_lib.files import data_root


def test_every_comparison_that_is_listed_and_bundled_is_read() -> None:
    bundled = {path.name.split(".")[0] for path in (data_root() / "evaluation").glob("*.csv.gz")}
    assert len(read_all()) == len(bundled & FILES.keys()) > 0
    assert all("ODAM" in table.methods for table in read_all().values())


def test_insertion_is_tabulated_by_case(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    columns = 'detector,dataset,image_id,object,method,insertion,"insertion, zeros outwards",insertion on blur'
    columns += ",object in the first sixth,zero pixels,mask"
    path.write_text(f"{columns}\nb,scenes,1,0,ODAM,0.2,0,0,0,1,0\nb,scenes,2,0,ODAM,0.4,0,0,0,0,0\n", encoding="utf-8")
    assert tabulate_insertion(path).splitlines()[-1] == "| b, scenes, ODAM | 0.30 | 0.00 | 0.00 | 0.00 | 0.50 |"


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (lambda ours, theirs: [ours[key] - theirs[key] for key in ours], "right"),
        (lambda ours, theirs: [theirs[key] - ours[key] for key in ours], "theirs minus ours"),
    ],
)
def test_a_paired_difference(difference, said: str) -> None:
    def mean(ours, theirs) -> float:
        known = [one for one in difference(ours, theirs) if not math.isnan(one)]
        return sum(known) / len(known)

    assert said in check_difference(mean)


def test_a_difference_of_means_is_told_apart_from_the_mean_difference() -> None:
    def mean(values) -> float:
        known = [one for one in values.values() if not math.isnan(one)]
        return sum(known) / len(known)

    assert "subtracted two means" in check_difference(lambda ours, theirs: mean(ours) - mean(theirs))
    assert "NaN" in check_difference(lambda ours, theirs: sum(ours.values()) - sum(theirs.values()))
    assert check_difference(None).startswith("open")
