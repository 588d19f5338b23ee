"""Is a map that leaks wrong? A detector of which it is known, pictures that change nowhere else, counts by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from odam_chapters.judging import features, leaks
from odam_chapters.judging.leaks import CHANGES, KINDS, Covered
from torch import Tensor, nn

from odam_lib.datasets.scenes import make_scene, render
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Predictions, Trace
from odam_lib.evaluation.judges import Picture
from odam_lib.files import data_root, write_rows
from odam_lib.kernels.grid import Grid, sample_grid
from odam_lib.kernels.nms import keep_all

STRIDE = 8
OWN, OTHER = (slice(16, 48), slice(8, 40)), (slice(16, 48), slice(40, 72))
BOX = (8.0, 16.0, 56.0, 48.0)
"""Around the explained object and the nearer half of the other one."""


@dataclass(frozen=True, eq=False)
class LeakTrace(Trace):
    """A pass of the detector below."""

    def targets(self, attribute: str, detections: Detections) -> Tensor:
        return self.detector.score(self.features[0])[None]


class LeakyDetector(Detector):
    """Its score follows how bright cells of its own object are, and as much those of the other one if that is used."""

    name, categories, layers, towers = "leaky", ("__background__", "a", "b"), ("fpn",), ()

    def __init__(self, uses_other: bool) -> None:
        self.model = nn.AvgPool2d(STRIDE)
        self.weights = torch.zeros(8, 12)
        self.weights[2:6, 1:5] = 1
        self.weights[2:6, 5:9] = float(uses_other)

    def private(self) -> "LeakyDetector":
        return self

    def score(self, features: Tensor) -> Tensor:
        return (0.1 * (features[0].mean(dim=0) * self.weights).sum() - 1).sigmoid()

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        return [self._read(image) for image in images]

    def _read(self, image: Tensor) -> Predictions:
        probs = torch.stack([torch.zeros(()), self.score(self.model(image[None])).detach(), torch.zeros(())])
        return Predictions(torch.tensor([BOX]), probs[None])

    def make_trace(self, image: Tensor, layer: str) -> LeakTrace:
        place, grids = torch.zeros(1, dtype=torch.int64), (Grid(STRIDE / 2, STRIDE / 2, STRIDE, STRIDE),)
        found = self.candidates(image, self._read(image), place, place)
        features = self.model(image[None]).requires_grad_()
        return LeakTrace(self, image, layer, (features,), grids, (64, 96), found, keep_all)


def open_leaky(uses_other: bool) -> tuple[Picture, Covered]:
    """Two bright blocks on grey, side by side; and the picture with the other one painted grey, whichever is asked."""
    image, masks = torch.full((3, 64, 96), 0.2), torch.zeros(2, 64, 96, dtype=torch.bool)
    for mask, place in zip(masks, (OWN, OTHER)):
        mask[place] = True
        image[:, mask] = 0.9
    trace = LeakyDetector(uses_other).trace(image)
    target = {"masks": masks, "labels": torch.tensor([1, 2]), "image_id": torch.tensor(7)}
    without = torch.where(masks[1], 0.2, image).expand(2, -1, -1, -1)
    covered = Covered(torch.tensor([[2 / 3, 1 / 3], [0, 1]]), {1: without})
    return Picture(None, 0, trace, target, trace.candidates, torch.tensor([0])), covered


@pytest.mark.parametrize("uses_other", [True, False])
def test_a_map_leaks_if_and_only_if_the_other_object_is_used(uses_other: bool) -> None:
    picture, covered = open_leaky(uses_other)
    (row,) = leaks.judge_leaks(picture, covered)

    def score(own: float, other: float) -> float:
        return 1 / (1 + np.exp(1 - 0.1 * (own + other * uses_other)))  # brightness summed over the cells of each

    bright, grey = score(16 * 0.9, 16 * 0.9), score(16 * 0.9, 16 * 0.2)
    # Bilinear: the mask holds 7/8 of the outermost cells along each side, and 1/8 of the own ones next to it.
    zero = score((16 - 3.75 / 8) * 0.9, (16 - 3.75**2) * 0.9)
    falls = [(bright - grey) / bright] * 2 + [(bright - zero) / bright]
    assert [row[change] for change in CHANGES] == pytest.approx(falls, abs=1e-3)
    assert row["removed"] == 0 or uses_other
    assert (row["energy"] > 0.4) if uses_other else (row["energy"] < 0.15)
    assert row["own"] + row["energy"] == pytest.approx(1, abs=0.3)  # the rest is what smoothing carries outside
    assert (row["image_id"], row["object"], row["other"], row["other_label"], row["in_front"]) == (7, 0, 1, 2, 1)
    assert row.keys() == KINDS.keys() - {"detector", "weights"}


def test_what_hardly_covers_the_box_is_not_taken_out() -> None:
    picture, covered = open_leaky(True)
    (row,) = leaks.judge_leaks(picture, Covered(torch.tensor([[0.97, 0.03], [0, 1]]), covered.pictures))
    assert row["cover"] == 0.03 and not row.keys() & set(CHANGES)


def test_the_figure_tells_the_score_after_each_change() -> None:
    picture, covered = open_leaky(True)
    (row,) = leaks.judge_leaks(picture, covered)
    after = row["score"] * (1 - row["removed"])
    told = [text.get_text() for text in leaks.show_leak(picture, covered).findobj(Text)]
    assert {f"other object {change}: score {after:.2f}" for change in CHANGES[:2]} <= set(told)
    none = leaks.show_leak(picture, Covered(torch.eye(2), {}))
    assert any("No detected object is covered" in text.get_text() for text in none.findobj(Text))


def test_the_share_of_a_cell_within_a_mask_is_what_its_energy_there_is() -> None:
    generator = torch.Generator().manual_seed(0)
    maps, masks = torch.rand(1, 5, 7, generator=generator), torch.rand(3, 40, 60, generator=generator) < 0.4
    for grid in (Grid(0.5, 0.5, 8, 8), Grid(10, 4, 5, 6), Grid(10, 4, 5, 6, bounded=True)):
        whole, within = (
            features.spread_over_cells(some, grid, (40, 60), (5, 7)) for some in (torch.ones_like(masks), masks)
        )
        assert ((whole - 1).abs() < 1e-5).all()
        read = sample_grid(maps, grid, (40, 60), (40, 60))
        weights = torch.stack(
            [sample_grid(one.reshape(1, 5, 7), grid, (40, 60), (40, 60)).sum() for one in torch.eye(35)]
        ).reshape(5, 7)
        expected = (read * masks).sum(dim=(1, 2))
        torch.testing.assert_close((maps * weights * within).sum(dim=(1, 2)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("uses_other", [True, False])
def test_a_change_reaches_the_score_by_the_cells_that_show_it(uses_other: bool) -> None:
    picture, covered = open_leaky(uses_other)
    mask = picture.target["masks"][1]
    route = features.follow(picture.trace, picture.detections, covered.pictures[1][0], mask)
    if uses_other:
        assert route.beneath > 3 * route.elsewhere > 0  # between two cells either is seen
    else:
        assert route == (0, 0)


def test_the_worst_leaks_are_found_first_and_once() -> None:
    rows = pd.DataFrame([leak(0.5, 0.4, 0.3, image=1), leak(0.1, 0.8, 0.3, image=2), leak(0.2, 0.7, 0.3, image=2)])
    assert leaks.find_leaks(rows, 1) == [2] and leaks.find_leaks(rows, 2) == [2, 1]


def test_each_change_is_of_one_object_that_covers_another() -> None:
    scene = make_scene(1, "street", 96)
    rendered = render(scene)
    image, covered = to_tensor(rendered.image), leaks.uncover(scene)
    empty = to_tensor(render(replace(scene, objects=())).image)
    masks = torch.stack([torch.from_numpy(one.mask) for one in rendered.instances])
    for row, one in enumerate(rendered.instances):
        x1, y1, x2, y2 = map(int, one.box_visible)
        torch.testing.assert_close(covered.cover[row], masks[:, y1:y2, x1:x2].float().mean(dim=(1, 2)))
    between = covered.cover.clone().fill_diagonal_(0)
    assert list(covered.pictures) == [n for n in range(len(masks)) if between[:, n].max() >= 0.05] != []
    for other, (removed, repainted) in covered.pictures.items():
        mask = masks[other]
        assert torch.equal(removed, to_tensor(render(scene.without(rendered.instances[other].index)).image))
        assert torch.equal(repainted[:, ~mask], image[:, ~mask]) and torch.equal(repainted[:, mask], empty[:, mask])


def to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1) / 255


def leak(own: float, energy: float, cover: float, of: int = 0, removed: float = 0.0, image: int = 0) -> dict:
    """A row of a detector; what is not given does not matter."""
    row = dict.fromkeys(KINDS, 0) | {"detector": "some", "weights": "0" * 8}
    return row | {"image_id": image, "object": of, "own": own, "energy": energy, "cover": cover, "removed": removed}


def test_maps_are_counted_once_by_all_that_covers_their_box() -> None:
    rows = pd.DataFrame(
        [
            leak(0.5, 0.3, 0.1, of=0),
            leak(0.5, 0.2, 0.1, of=0),  # 20 % together: the next band begins there
            leak(0.4, 0.4, 0.0, of=1),  # a tie is no win
            leak(0.6, 0.1, 0.04, of=2),
            leak(0.2, 0.7, 0.5, of=2, image=1),
        ]
    )
    expected = {"0-5 %": (1, 2), "5-20 %": (0, 0), "20-40 %": (1, 1), "40-100 %": (0, 1)}
    assert leaks.count_specific(rows) == {("some", band): counted for band, counted in expected.items()}


def test_correlation_given_the_cover_is_that_of_what_the_cover_does_not_tell() -> None:
    """The textbook's other way: ranks, less what a straight line in the cover's ranks tells of them."""
    generator = np.random.default_rng(0)
    cover = generator.random(400)
    energy, fall = cover + 0.3 * generator.random(400), cover + 0.3 * generator.random(400)
    table = np.stack([energy, fall, cover], axis=1)
    ranks = table.argsort(axis=0).argsort(axis=0).astype(float)
    rest = [one - np.polyval(np.polyfit(ranks[:, 2], one, 1), ranks[:, 2]) for one in ranks.T[:2]]
    found = leaks.correlate_given(torch.from_numpy(table))
    assert found == pytest.approx(np.corrcoef(rest)[0, 1], abs=1e-9)
    assert abs(found) < 0.15 < 0.8 < np.corrcoef(ranks.T)[0, 1]
    rows = pd.DataFrame(
        [leak(0, e, c, removed=r, image=n % 40) for n, (e, r, c) in enumerate(zip(energy, energy, cover))]
    )
    assert leaks.relate(rows, "removed") == pytest.approx((1, 1, 1))
    assert np.isnan(leaks.relate(rows, "repainted").value)  # the score never changes


def test_mean_falls_are_of_each_band_of_energy() -> None:
    rows = pd.DataFrame(
        [
            leak(0, 0.01, 0.1, removed=0.1, image=0),
            leak(0, 0.02, 0.1, removed=0.3, image=1),
            leak(0, 0.15, 0.1, removed=-0.2, image=1),
            leak(0, 1.0, 0.1, removed=0.9, image=2),
        ]
    )
    lines = {(line["method"], line["metric"]): line for line in leaks.tabulate_falls(rows)}
    assert [lines[f"some, {band}", "removed"]["n"] for band in ("0-5 %", "5-15 %", "15-30 %", "30-100 %")] == [
        2,
        0,
        1,
        1,
    ]
    first = lines["some, 0-5 %", "removed"]
    assert (first["mean"], first["low"], first["high"]) == pytest.approx((0.2, 0.1, 0.3))
    assert lines["some, 15-30 %", "removed"]["mean"] == -0.2 and lines["some, 0-5 %", "silenced"]["mean"] == 0


def test_rows_of_other_weights_are_refused(tmp_path) -> None:
    path = tmp_path / "rows.csv.gz"
    ours = leak(0.5, 0.3, 0.1) | {"detector": "retinanet-scenes", "weights": leaks.hash_of("retinanet-scenes")}
    write_rows(path, [ours], list(KINDS))
    assert leaks.read_leaks(path).to_dict("records") == [ours]
    write_rows(path, [ours | {"weights": "01234567"}], list(KINDS))
    with pytest.raises(ValueError, match=r"weights 01234567 of retinanet-scenes, and those here are .* make it again"):
        leaks.read_leaks(path)


def test_the_bundled_rows_say_what_is_claimed_of_them() -> None:
    """Maps are instance-specific where others cover little; where they leak, the features are used, not the object."""
    rows = leaks.read_leaks(data_root() / "evaluation" / "leaks.csv.gz")
    counted, alike = leaks.count_specific(rows), leaks.count_specific(rows[rows["label"] == rows["other_label"]])
    for name, some in rows.dropna().groupby("detector"):
        wins, number = np.sum([counted[name, band] for band in ("0-5 %", "5-20 %")], axis=0)
        assert number >= 400 and wins / number >= 0.99, name
        wins, number = np.sum([counts for (whose, _), counts in alike.items() if whose == name], axis=0)
        assert number >= 400 and wins / number >= 0.955, name
        assert counted[name, "40-100 %"][0] < 0.8 * counted[name, "40-100 %"][1], name
        assert leaks.relate(some, "silenced").low > 0.6 and leaks.relate(some, "removed").high < 0.1, name
        mean = {line["metric"]: line for line in leaks.tabulate_falls(some) if line["method"] == f"{name}, 30-100 %"}
        assert mean["silenced"]["low"] > 0.15 and mean["removed"]["high"] < 0.05, name
