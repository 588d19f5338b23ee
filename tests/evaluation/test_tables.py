"""Comparisons on hand-made rows, and README's tables against the rows that are bundled."""

import pytest
from nbconvert.filters import markdown2html
from odam_chapters.judging.own_masks import OF_ALL, OF_CLASS, count_own_mask_wins, read_rows
from odam_chapters.judging.tables import count_wins, is_better, rank_methods, scoreboard, tabulate_means

from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.tables import as_markdown, as_paired_markdown, compare_paired, select_metrics
from odam_lib.files import data_root


def evaluation(**means: tuple[float, float]) -> Evaluation:
    """Four pictures of one object each; values of a method lie 0.1 around its mean of deletion and of VEA."""
    rows = [
        {"image_id": image, "object": 0, "label": 1, "iou": 0.9, "score": 0.9, "method": name, "seconds": 1.0}
        | {"deletion": deletion + shift, "VEA": vea + shift}
        for name, (deletion, vea) in means.items()
        for image, shift in enumerate((-0.1, 0.1, -0.1, 0.1))
    ]
    return Evaluation(tuple(rows), 4, 0)


FOUND = evaluation(ours=(0.2, 0.9), theirs=(0.5, 0.5), near=(0.25, 0.85))


def test_smaller_deletion_and_larger_vea_are_better() -> None:
    assert is_better(FOUND, "deletion", "ours", "theirs") is True
    assert is_better(FOUND, "deletion", "theirs", "ours") is False
    assert is_better(FOUND, "VEA", "ours", "theirs") is True
    assert is_better(FOUND, "VEA", "theirs", "ours") is False


def test_overlapping_intervals_leave_it_open() -> None:
    assert is_better(FOUND, "deletion", "ours", "near") is None and is_better(FOUND, "VEA", "near", "ours") is None


def test_one_picture_leaves_it_open() -> None:
    one = Evaluation(tuple(row for row in FOUND.rows if row["image_id"] == 0), 1, 0)
    assert is_better(one, "VEA", "ours", "theirs") is None


def test_ranking_scoreboard_and_count() -> None:
    assert rank_methods(FOUND, "deletion", ["theirs", "ours", "near"]) == ["ours", "near", "theirs"]
    assert rank_methods(FOUND, "VEA", ["theirs", "near", "ours"]) == ["ours", "near", "theirs"]
    (line,) = scoreboard(FOUND, "ours", ["theirs", "near"], ["VEA"]).splitlines()
    assert "better than theirs" in line and "indistinguishable from near" in line
    assert count_wins(FOUND, "ours", ["theirs"], ["VEA", "deletion"]) == 2
    assert count_wins(FOUND, "ours", ["theirs", "near"], ["VEA", "deletion"]) == 0


def test_tables_hold_the_means() -> None:
    assert "0.20 [0.10, 0.30]" in tabulate_means(FOUND, ["deletion"])
    assert "| ours | 0.20 ± 0.10 | 0.90 ± 0.10 |" in as_markdown(FOUND, ["deletion", "VEA"])


@pytest.mark.parametrize("table", [lambda one, name: as_markdown(one, ["VEA"]),
                                   lambda one, name: as_paired_markdown(one, name, [name], ["VEA"])])  # fmt: skip
def test_a_name_in_a_table_is_text_also_on_an_exported_page(table) -> None:
    name = "<img src=x onerror=alert(1)> | *bold* [link](javascript:x) $x_{$ `code` \\"
    page = markdown2html(table(evaluation(**{name: (0.2, 0.9)}), name))
    assert "<img" not in page and "<a" not in page and "<em>" not in page and "<code>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; | *bold* [link](javascript:x) " in page
    assert page.count("<td") in (2, 2) and "math" not in page


def test_differences_are_paired_over_objects() -> None:
    """Values that vary far more between objects than between methods: their means overlap, their pairs do not."""
    n, mean, low, high = compare_paired(FOUND, "VEA", "ours", "near")
    assert (n, round(mean, 6)) == (4, 0.05) and low == pytest.approx(0.05) and high == pytest.approx(0.05)
    assert is_better(FOUND, "VEA", "ours", "near") is None
    table = as_paired_markdown(FOUND, "ours", ["near", "theirs"], ["deletion", "VEA"])
    assert "| near | **-0.05 (-0.05 to -0.05)** | **+0.05 (+0.05 to +0.05)** |" in table
    assert "| near | -0.35 (-0.35 to -0.35) |" in as_paired_markdown(FOUND, "theirs", ["near"], ["VEA"])


def test_methods_on_different_objects_are_not_compared() -> None:
    fewer = Evaluation(tuple(row for row in FOUND.rows if row["method"] != "near" or row["image_id"]), 4, 0)
    with pytest.raises(ValueError, match=r"ours and near were measured on different objects \(4 and 3\)"):
        compare_paired(fewer, "VEA", "ours", "near")


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="'nobody'"):
        is_better(FOUND, "VEA", "nobody", "ours")


@pytest.mark.parametrize("name", ["fcos-scenes", "faster-rcnn-scenes", "detr-scenes", "yolov3-tiny"])
def test_readmes_table_is_of_the_bundled_rows(name: str) -> None:
    found = Evaluation.load(data_root() / "evaluation" / f"{name}.csv.gz")
    readme = (data_root().parent / "README.md").read_text(encoding="utf-8")
    assert as_markdown(found, select_metrics(found)) in readme
    assert f"{len(found.values('ODAM', 'deletion')[0])} objects" in readme


def test_readme_says_what_holds_on_photographs() -> None:
    found = Evaluation.load(data_root() / "evaluation" / "yolov3-tiny.csv.gz")
    readme = (data_root().parent / "README.md").read_text(encoding="utf-8")
    rivals = ["Grad-CAM", "Grad-CAM++", "D-RISE", "box fill", "centred Gaussian"]
    assert as_paired_markdown(found, "ODAM", rivals, select_metrics(found)) in readme
    rows = read_rows(data_root() / "evaluation" / "own-masks-yolov3-tiny.csv")
    for others in (OF_CLASS, OF_ALL):
        counts = [count_own_mask_wins(rows, name, others) for name in ("ODAM", "Grad-CAM")]
        cells = " | ".join(f"{wins / number:.0%} ({wins})".replace("%", " %") for wins, number in counts)
        assert f"| {counts[0][1]} | {cells} |" in readme
