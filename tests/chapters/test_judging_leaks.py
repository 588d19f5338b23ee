"""Is a map that leaks wrong? A detector of which it is known, pictures that change nowhere else, counts by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from odam_chapters.judging import leaks
from odam_chapters.judging.leaks import CHANGES, KINDS
from torch import Tensor, nn

from odam_lib.datasets.scenes import make_scene, render
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Predictions, Trace
from odam_lib.evaluation.judges import Picture
from odam_lib.files import write_rows
from odam_lib.kernels.grid import Grid
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

    name, model, categories, layers, towers = "leaky", nn.Identity(), ("__background__", "a", "b"), ("fpn",), ()

    def __init__(self, uses_other: bool) -> None:
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
        probs = torch.stack([torch.zeros(()), self.score(pool(image)).detach(), torch.zeros(())])
        return Predictions(torch.tensor([BOX]), probs[None])

    def make_trace(self, image: Tensor, layer: str) -> LeakTrace:
        place, grids = torch.zeros(1, dtype=torch.int64), (Grid(STRIDE / 2, STRIDE / 2, STRIDE, STRIDE),)
        found = self.candidates(image, self._read(image), place, place)
        return LeakTrace(self, image, layer, (pool(image).requires_grad_(),), grids, (64, 96), found, keep_all)


def pool(image: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(image[None], STRIDE)


def open_leaky(uses_other: bool) -> tuple[Picture, Tensor]:
    """Two bright blocks on grey, side by side; and the picture with each of them painted grey, in every way alike."""
    image, masks = torch.full((3, 64, 96), 0.2), torch.zeros(2, 64, 96, dtype=torch.bool)
    for mask, place in zip(masks, (OWN, OTHER)):
        mask[place] = True
        image[:, mask] = 0.9
    trace = LeakyDetector(uses_other).trace(image)
    target = {"masks": masks, "labels": torch.tensor([1, 2]), "image_id": torch.tensor(7)}
    changed = torch.stack([torch.where(mask, 0.2, image).expand(3, -1, -1, -1) for mask in masks])
    return Picture(None, 0, trace, target, trace.candidates, torch.tensor([0])), changed


@pytest.mark.parametrize("uses_other", [True, False])
def test_a_map_leaks_if_and_only_if_the_other_object_is_used(uses_other: bool) -> None:
    picture, changed = open_leaky(uses_other)
    (row,) = leaks.judge_leaks(picture, changed)
    before, after = (
        float(LeakyDetector(uses_other).score(pool(image))) for image in (picture.trace.image, changed[1, 0])
    )
    assert [row[change] for change in CHANGES] == pytest.approx([(before - after) / before] * 3, abs=2e-3)
    assert (row["removed"] > 0.2) if uses_other else (row["removed"] == 0)
    assert (row["energy"] > 0.4) if uses_other else (row["energy"] < 0.1)
    assert row["own"] + row["energy"] == pytest.approx(1, abs=0.25)  # the rest is what smoothing carries outside
    assert row["cover"] == pytest.approx(16 / 48, abs=1e-3)
    assert (row["image_id"], row["object"], row["other"], row["other_label"], row["in_front"]) == (7, 0, 1, 2, 1)
    assert list(KINDS)[2:] == sorted(row, key=list(KINDS).index) and row.keys() == set(list(KINDS)[2:])


def test_each_change_is_of_the_other_object_alone() -> None:
    scene = make_scene(1, "street", 96)
    rendered = render(scene)
    image, changed = to_tensor(rendered.image), leaks.draw_changes(scene)
    empty = to_tensor(render(replace(scene, objects=())).image)
    assert changed.shape == (len(rendered.instances), 3, 3, 96, 96)
    for one, (removed, repainted, flattened) in zip(rendered.instances, changed):
        mask = torch.from_numpy(one.mask)
        assert torch.equal(removed, to_tensor(render(scene.without(one.index)).image))
        for painted in (repainted, flattened):
            assert torch.equal(painted[:, ~mask], image[:, ~mask])
        assert torch.equal(repainted[:, mask], empty[:, mask])
        torch.testing.assert_close(flattened[:, mask].mean(dim=1), image[:, mask].mean(dim=1))
        assert flattened[:, mask].std(dim=1).max() < 1e-5


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
    assert lines["some, 15-30 %", "removed"]["mean"] == -0.2 and lines["some, 0-5 %", "flattened"]["mean"] == 0


def test_rows_of_other_weights_are_refused(tmp_path) -> None:
    path = tmp_path / "rows.csv.gz"
    ours = leak(0.5, 0.3, 0.1) | {"detector": "retinanet-scenes", "weights": leaks.hash_of("retinanet-scenes")}
    write_rows(path, [ours], list(KINDS))
    assert leaks.read_rows(path).to_dict("records") == [ours]
    write_rows(path, [ours | {"weights": "01234567"}], list(KINDS))
    with pytest.raises(ValueError, match=r"weights 01234567 of retinanet-scenes, and those here are .* make it again"):
        leaks.read_rows(path)
