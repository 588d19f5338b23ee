"""The paper's claims about DETR's attention: planted maps, cells chosen by hand, and the bundled rows."""

import math
from dataclasses import asdict, fields, replace

import pytest
import torch
from odam_chapters.attention import claims, verdicts
from odam_chapters.attention.reading import find_cell
from odam_chapters.in_boxes import measure_rim_energy

from odam_lib import load_detector
from odam_lib.datasets.scenes import CATEGORIES, Scenes
from odam_lib.detectors.detr import build_small_detr
from odam_lib.detectors.queries import Attention
from odam_lib.files import data_root

pytest.importorskip("transformers")
ROWS = data_root() / "evaluation" / "detr-claims.csv.gz"


def test_energy_along_the_edge_by_hand() -> None:
    heat, box = torch.zeros(20, 20), torch.tensor([4.0, 5.0, 14.0, 15.0])  # the band: 2 pixels to both sides
    heat[9, 9], heat[7, 11] = 2, 1  # in the middle, and inside next to the band
    heat[9, 5], heat[16, 15], heat[3, 2] = 1, 3, 2  # at the left edge, beyond a corner, at the other corner
    heat[17, 15], heat[19, 19] = 0.5, 0.5  # outside
    assert float(measure_rim_energy(heat, box, 0.2)) == pytest.approx(0.6)
    assert float(measure_rim_energy(heat, box, 0.5)) == pytest.approx(0.95)  # all of the box, and what is near it
    both = measure_rim_energy(torch.stack([heat, torch.zeros_like(heat)])[None], box[None, None], 0.2)
    torch.testing.assert_close(both, torch.tensor([[0.6, 0.0]]))
    with pytest.raises(ValueError, match=r"band is 0\.6"):
        measure_rim_energy(heat, box, 0.6)


def test_an_even_box_has_half_of_its_energy_along_its_edge() -> None:
    heat = torch.zeros(256, 256)
    heat[40:140, 60:160] = 1
    assert float(measure_rim_energy(heat, torch.tensor([60.0, 40.0, 160.0, 140.0]), claims.BAND)) == pytest.approx(0.51)


def test_cells_are_those_that_only_one_map_ranks_high() -> None:
    attended = torch.arange(100.0).flip(0).reshape(10, 10)  # high: cells 0 to 9
    named = attended.roll(3)  # high: cells 3 to 12
    chosen = claims.choose_cells(attended, named, torch.Generator().manual_seed(0)).flatten(1)
    assert torch.nonzero(chosen[0]).flatten().tolist() == [0, 1, 2, 13, 14]
    assert torch.nonzero(chosen[1]).flatten().tolist() == [10, 11, 12, 13, 14]
    assert int(chosen[2].sum()) == 5 and not chosen[2, :13].any()
    other = claims.choose_cells(attended, named, torch.Generator().manual_seed(1)).flatten(1)
    assert torch.equal(other[:2], chosen[:2]) and not torch.equal(other[2], chosen[2])


def test_planted_attention_has_the_shares_of_where_it_was_planted() -> None:
    torch.manual_seed(0)
    trace = build_small_detr("untrained", CATEGORIES).trace(torch.rand(3, 256, 256))
    found = replace(trace.candidates[[0, 1]], boxes=torch.tensor([[40.0, 40.0, 210.0, 200.0]]).repeat(2, 1))
    rows, columns = trace.attention.size
    cross, encoder = torch.zeros(1, len(trace.logits), rows * columns), torch.zeros(1, rows * columns, rows * columns)
    for query, (x, y) in enumerate([(210.0, 120.0), (125.0, 120.0)]):  # on the right edge, in the middle
        row, column = find_cell(trace, x, y)
        cross[0, query, row * columns + column] = 1
    encoder[0, :, columns + 1] = 0.75  # near a corner of the picture
    encoder[0, :, row * columns + column] = 0.25
    trace = replace(trace, attention=Attention((encoder,), (cross,), (), trace.attention.size, trace.attention.grid))
    shares = claims.measure_shares(trace, found)
    assert float(shares["rim_attention"][0]) > 0.9 and float(shares["rim_attention"][1]) == 0
    torch.testing.assert_close(shares["outside_attention"], torch.full((2,), 0.75))
    assert float(shares["outside_control"][0]) == pytest.approx(1 - 170 * 160 / 256**2, abs=1e-4)


def looked(scene: int, **values: float) -> claims.Looked:
    given = {field.name: values.get(field.name, 0.5) for field in fields(claims.Looked)}
    return claims.Looked(**given | {"scene": scene, "object": 0, "label": "car"})


@pytest.mark.parametrize(
    ("number", "difference", "verdict"),
    [(30, 0.2, "reproduced"), (30, -0.2, "contradicted"), (30, 0.0, "cannot tell"), (29, 0.2, "too few objects: 29")],
)
def test_a_verdict_follows_the_paired_difference(number: int, difference: float, verdict: str) -> None:
    """Between objects the shares vary by far more than between the maps of one."""
    noise = [0.05, -0.05] * number
    rows = [
        looked(item, rim_attention=item / 100 + difference + noise[item], rim_control=item / 100)
        for item in range(number)
    ]
    first = verdicts.judge_claims(rows)[0]
    assert first.number == number and first.verdict == verdict
    assert first.difference.value == pytest.approx(difference, abs=0.002)
    assert first.difference.low < first.difference.value < first.difference.high


def test_a_claim_that_one_is_smaller_is_judged_so() -> None:
    rows = [looked(item, outside_class=0.1, outside_attention=0.3) for item in range(40)]
    assert [one.verdict for one in verdicts.judge_claims(rows) if one.claim.measure == "outside"] == ["reproduced"]
    rows = [looked(item, outside_class=0.4, outside_attention=0.3) for item in range(40)]
    assert [one.verdict for one in verdicts.judge_claims(rows) if one.claim.measure == "outside"] == ["contradicted"]


def test_a_gain_is_as_much_of_a_change_as_a_loss() -> None:
    rows = [looked(item, encoder_attention=-0.3, encoder_class=0.1) for item in range(40)]
    found = {one.claim.either_way: one.verdict for one in verdicts.judge_claims(rows) if one.claim.measure == "encoder"}
    assert found == {False: "reproduced", True: "contradicted"}


def test_the_largest_difference_is_of_the_same_objects() -> None:
    rows = [looked(item, rim_class=0.1 * item) for item in range(3)]
    assert verdicts.find_largest_difference(
        [looked(1, rim_class=0.4), looked(7, rim_class=9.0)], rows
    ) == pytest.approx(0.3)
    assert math.isnan(verdicts.find_largest_difference([looked(7)], rows))


def test_means_are_of_every_measure_and_map() -> None:
    rows = [looked(item, rim_edges=item / 10) for item in range(10)]
    means = {(one["metric"], one["method"]): one for one in verdicts.tabulate_means(rows)}
    assert len(means) == len(verdicts.COLUMNS) == 17 and ("outside", verdicts.MAPS["edges"]) not in means
    edges = means["rim", verdicts.MAPS["edges"]]
    assert edges["mean"] == pytest.approx(0.45) and edges["low"] < 0.45 < edges["high"]


def test_bundled_rows_are_todays() -> None:
    """Two scenes again, those with the fewest objects."""
    kept, detector = claims.read_looked(ROWS), load_detector("detr-scenes", "cpu")
    numbers = {item: sum(one.scene == item for one in kept) for item in {one.scene for one in kept}}
    scenes = Scenes("val", max(numbers) + 1)
    for item in sorted(numbers, key=numbers.__getitem__)[:2]:
        again = claims.look_at_scene(detector, scenes, item)
        expected = [one for one in kept if one.scene == item]
        assert len(again) == len(expected)
        for ours, theirs in zip(again, expected):
            assert asdict(ours) == pytest.approx(asdict(theirs), abs=0.02)
