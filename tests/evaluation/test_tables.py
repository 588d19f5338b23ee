"""Comparisons on hand-made rows."""

import pytest
from nbconvert.filters import markdown2html

from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.tables import as_markdown, as_paired_markdown, compare_paired, main, select_metrics
from odam_lib.files import data_root


def evaluation(**means: tuple[float, float]) -> Evaluation:
    """32 pictures of one object each; values of a method lie 0.1 around its mean of deletion and of VEA."""
    rows = [
        {"image_id": image, "object": 0, "label": 1, "iou": 0.8 + shift, "score": 0.9, "method": name, "seconds": 1.0}
        | {"deletion": deletion + shift, "VEA": vea + shift, "insertion": 0.9}
        for name, (deletion, vea) in means.items()
        for image, shift in enumerate((-0.1, 0.1) * 16)
    ]
    return Evaluation(tuple(rows), 40, 8)


FOUND = evaluation(ours=(0.2, 0.9), theirs=(0.5, 0.5), near=(0.25, 0.85))


@pytest.mark.parametrize("table", [lambda one, name: as_markdown(one, ["VEA"]),
                                   lambda one, name: as_paired_markdown(one, name, [name], ["VEA"])])  # fmt: skip
def test_a_name_in_a_table_is_text_also_on_an_exported_page(table) -> None:
    name = "<img src=x onerror=alert(1)> | *bold* [link](javascript:x) $x_{$ `code` \\"
    page = markdown2html(table(evaluation(**{name: (0.2, 0.9)}), name))
    assert "<img" not in page and "<a" not in page and "<em>" not in page and "<code>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; | *bold* [link](javascript:x) " in page
    assert page.count("<td") in (2, 2) and "math" not in page


def test_tables_hold_the_means() -> None:
    assert "| ours | 0.20 ± 0.04 | 0.90 ± 0.04 |" in as_markdown(FOUND, ["deletion", "VEA"])


def test_differences_are_paired_over_objects() -> None:
    """Values that vary far more between objects than between methods: their means overlap, their pairs do not."""
    n, mean, low, high = compare_paired(FOUND, "VEA", "ours", "near")
    assert (n, round(mean, 6)) == (32, 0.05) and low == pytest.approx(0.05) and high == pytest.approx(0.05)
    table = as_paired_markdown(FOUND, "ours", ["near", "theirs"], ["deletion", "VEA"])
    assert "| near | **-0.05 (-0.05 to -0.05)** | **+0.05 (+0.05 to +0.05)** |" in table
    assert "| near | -0.35 (-0.35 to -0.35) |" in as_paired_markdown(FOUND, "theirs", ["near"], ["VEA"])


def test_methods_on_different_objects_are_not_compared() -> None:
    fewer = Evaluation(tuple(row for row in FOUND.rows if row["method"] != "near" or row["image_id"]), 4, 0)
    with pytest.raises(ValueError, match=r"ours and near were measured on different objects \(32 and 31\)"):
        compare_paired(fewer, "VEA", "ours", "near")


def test_what_was_not_measured_is_a_dash_in_a_table() -> None:
    rows = tuple(row | {"sparsity": 5.0 if row["method"] == "ours" else float("nan")} for row in FOUND.rows)
    table = as_markdown(Evaluation(rows, 40, 8), ["sparsity"])
    assert "| ours | 5.00 ± 0.00 |" in table and "| near | - |" in table


def test_the_command_prints_all_rows_and_those_of_well_detected_objects(capsys: pytest.CaptureFixture) -> None:
    path = str(data_root() / "evaluation" / "bbam-yolov3-tiny.csv.gz")
    main([path])
    whole, _, well = capsys.readouterr().out.partition("detected with an IoU of at least 0.90")
    assert (
        "32 of 111 objects" in whole
        and "ODAM minus" in whole
        and "best threshold for all" in whole
        and "ODAM minus" in well
    )
    found = Evaluation.load(data_root() / "evaluation" / "bbam-yolov3-tiny.csv.gz").well_detected(0.9)
    assert as_markdown(found, select_metrics(found)) in well and "6 comparisons; bold: ODAM is better" in well
    with pytest.raises(SystemExit):
        main([path, "--least-iou", "1"])
    assert "no object with an IoU of at least 1: give a smaller one" in capsys.readouterr().err
