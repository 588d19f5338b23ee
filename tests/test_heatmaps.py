"""The kernels of Sec. 3.1 and the container of their results."""

import copy
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.ndimage import gaussian_filter

from odam_lib.detections import Detections
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.kernels.grid import Grid, sample_grid
from odam_lib.kernels.odam import adaptive_sigma, combine, heat_map, min_max, smooth


def detections(boxes: list[list[float]], image_size: tuple[int, int] = (40, 60)) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.linspace(0.9, 0.5, count),
        labels=torch.ones(count, dtype=torch.int64),
        class_probs=torch.tensor([[0.0, 0.9]]).repeat(count, 1),
        level=torch.zeros(count, dtype=torch.int64),
        index=torch.arange(count),
        image_size=image_size,
        categories=("__background__", "person"),
        source="fake on image 0",
    )


def heat_maps(maps: list[torch.Tensor], attributes: tuple[str, ...] = ATTRIBUTES, **other: object) -> HeatMaps:
    return HeatMaps(
        maps=tuple(maps),
        reasons=tuple(tuple("" if one.any() else "because" for one in each) for each in maps),
        attributes=attributes,
        detections=detections([[4.0, 4.0, 20.0, 30.0]] * len(maps)),
        grids=(Grid.of_stride(8),) * len(maps),
        input_size=(40, 60),
        layer="fpn",
        method="test",
        **other,
    )


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.3, 4.0), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_smoothing_is_scipys_gaussian_with_zeros_outside(height: int, width: int, sigma: float, seed: int) -> None:
    gradients = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ours = smooth(gradients, torch.tensor([sigma, sigma], dtype=torch.float64))
    theirs = gaussian_filter(gradients.numpy(), (0, 0, sigma, sigma), mode="constant", truncate=12)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


def test_each_prediction_is_smoothed_by_its_own_sigma_and_zero_means_not_at_all() -> None:
    gradients = torch.rand(2, 1, 9, 9)
    sigma = torch.tensor([0.0, 2.0])
    both = smooth(gradients, sigma)
    torch.testing.assert_close(both[0], gradients[0])
    torch.testing.assert_close(both[1:], smooth(gradients[1:], sigma[1:]))
    assert both[1].std() < 0.5 * gradients[1].std()


def test_energy_lost_at_the_border_is_not_put_back() -> None:
    corner = torch.zeros(1, 1, 21, 21)
    corner[..., 0, 0] = 1
    middle = torch.zeros(1, 1, 21, 21)
    middle[..., 10, 10] = 1
    sigma = torch.tensor([2.0])
    assert smooth(middle, sigma).sum().item() == pytest.approx(1, abs=1e-4)
    per_side = 0.5 + 0.5 / (2 * math.sqrt(2 * math.pi))  # half the kernel and half its central tap
    assert smooth(corner, sigma).sum().item() == pytest.approx(per_side**2, abs=1e-3)


def test_sigma_follows_the_short_side_in_cells() -> None:
    boxes = torch.tensor([[0.0, 0.0, 80.0, 40.0], [0.0, 0.0, 16.0, 64.0], [5.0, 5.0, 5.0, 5.0]])
    assert adaptive_sigma(boxes, torch.tensor([8.0, 8.0]), 0.5).tolist() == [2.5, 1.0, 0.0]
    assert adaptive_sigma(boxes[:1], torch.tensor([16.0, 4.0]), 1.0).tolist() == [5.0]


def test_the_sum_over_channels_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    weights = torch.tensor([[[[2.0, 1.0]], [[1.0, 4.0]]]])
    assert heat_map(weights, features, rectify="none").tolist() == [[[5.0, -2.0]]]


@given(st.integers(1, 6), st.integers(1, 6), st.floats(-30, 30), st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_min_max_ignores_scale_even_of_vanishing_maps(height: int, width: int, exponent: float, seed: int) -> None:
    maps = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) + 0.1
    scaled = min_max(maps * 10.0**exponent)
    torch.testing.assert_close(scaled, min_max(maps), rtol=1e-3, atol=1e-4)
    assert scaled.min() >= 0 and scaled.max() == 1


def test_min_max_of_constants() -> None:
    constants = torch.stack([torch.zeros(2, 2), torch.full((2, 2), 3.0), torch.full((2, 2), -3.0)])
    assert min_max(constants).amax(dim=(1, 2)).tolist() == [0.0, 1.0, 0.0]


def test_combined_is_the_maximum_of_normalised_maps() -> None:
    maps = torch.zeros(5, 2, 2)
    maps[0, 0, 0] = 100.0
    maps[1, 0, 1], maps[1, 1, 1] = 0.001, 0.0005
    assert combine(maps).tolist() == [[1.0, 1.0], [0.0, 0.5]]


@pytest.mark.parametrize("size", [(97, 150), (150, 97), (333, 200), (64, 64), (31, 500)])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_planted_spike_lands_within_half_a_cell(size: tuple[int, int], stride: int) -> None:
    """The detector resized the image by a fraction and padded it to a multiple of 32."""
    scale = 256 / min(size)
    input_size = (int(size[0] * scale), int(size[1] * scale))
    rows, columns = (-(-side // 32) * 32 // stride for side in input_size)
    grid = Grid.of_stride(stride)
    for row in range(0, math.ceil(input_size[0] / stride), 3):
        for column in range(0, math.ceil(input_size[1] / stride), 3):
            spike = torch.zeros(1, rows, columns)
            spike[0, row, column] = 1
            image = sample_grid(spike, grid, input_size, size)[0]
            y, x = divmod(int(image.argmax()), size[1])
            expected = (row * stride + 0.5) * size[0] / input_size[0], (column * stride + 0.5) * size[1] / input_size[1]
            cell = stride * size[0] / input_size[0], stride * size[1] / input_size[1]
            assert abs(y + 0.5 - min(expected[0], size[0])) <= max(0.51 * cell[0], 1)
            assert abs(x + 0.5 - min(expected[1], size[1])) <= max(0.51 * cell[1], 1)


def test_padding_does_not_show_in_the_image() -> None:
    maps = torch.zeros(1, 8, 8)
    maps[0, :, 6:] = 1  # cells from pixel 48 on; the input ends at 40
    assert sample_grid(maps, Grid.of_stride(8), (64, 40), (64, 40)).sum() == 0


def test_zero_maps_stay_zero_and_are_flagged() -> None:
    maps = heat_maps([torch.zeros(5, 4, 6), torch.ones(5, 4, 6)])
    assert maps.zero().tolist() == [[True] * 5, [False] * 5]
    assert maps.normalized().to_image()[0].sum() == 0
    assert maps.combined().zero().tolist() == [[True], [False]]


def test_signed_maps_keep_their_sign_when_normalised() -> None:
    signed = torch.tensor([[[-4.0, 2.0]]])
    assert heat_maps([signed], ("class",)).normalized().maps[0].tolist() == [[[-1.0, 0.5]]]


def test_select_index_and_join() -> None:
    maps = heat_maps([torch.full((5, 2, 2), float(row)) * torch.arange(5)[:, None, None] for row in (1, 2, 3)])
    picked = maps[[2, 0]].select("y2", "class")
    assert [one[:, 0, 0].tolist() for one in picked.maps] == [[12.0, 0.0], [4.0, 0.0]]
    assert picked.reasons[0] == ("", "because")
    assert maps[1].joined(maps[1].combined()).attributes == (*ATTRIBUTES, "combined")
    with pytest.raises(ValueError, match="no map of 'depth'"):
        maps.select("depth")
    with pytest.raises(IndexError, match="Detection 3 does not exist"):
        maps[3]


def test_saved_maps_come_back(tmp_path) -> None:
    maps = heat_maps([torch.rand(5, 3, 4), torch.rand(5, 2, 2)], settings={"smoothing": None})
    maps.save(tmp_path / "maps.safetensors")
    loaded = HeatMaps.load(tmp_path / "maps.safetensors")
    for ours, theirs in zip(maps.maps, loaded.maps):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert (loaded.settings, loaded.grids, loaded.reasons) == (maps.settings, maps.grids, maps.reasons)
    torch.testing.assert_close(loaded.detections.boxes, maps.detections.boxes)
    assert [path.name for path in tmp_path.iterdir()] == ["maps.safetensors"]
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds no heat maps"):
        HeatMaps.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="no heat maps at"):
        HeatMaps.load(tmp_path / "absent.safetensors")


def in_a_file(maps: HeatMaps, folder: Path) -> HeatMaps:
    maps.save(folder / "maps.safetensors")
    return HeatMaps.load(folder / "maps.safetensors")


def by_torch(maps: HeatMaps, folder: Path) -> HeatMaps:
    torch.save(maps, folder / "maps.pt")
    return torch.load(folder / "maps.pt", weights_only=False)


COPIES = {
    "save": in_a_file,
    "torch.save": by_torch,
    "pickle": lambda maps, _: pickle.loads(pickle.dumps(maps)),
    "deepcopy": lambda maps, _: copy.deepcopy(maps),
    "copy": lambda maps, _: copy.copy(maps),
}
VIEWS = {
    "all": lambda maps: maps,
    "one twice": lambda maps: maps[[0, 0]],
    "one": lambda maps: maps[0],
    "a slice, backwards": lambda maps: maps[2:0:-1],
    "none": lambda maps: maps[[]],
    "an attribute twice": lambda maps: maps.select("x1", "x1", "class"),
    "combined": lambda maps: maps.combined(),
    "joined": lambda maps: maps[:2].joined(maps[:2].combined()),
    "one map for all attributes": lambda maps: replace(
        maps, maps=tuple(one[:1].expand(5, -1, -1) for one in maps.maps)
    ),
    "one map for all detections": lambda maps: replace(maps, maps=maps.maps[:1] * 3),
    "a transposed view": lambda maps: replace(maps, maps=tuple(one.mT for one in maps.maps)),
    "in half precision": lambda maps: replace(maps, maps=tuple(one.half() for one in maps.maps)),
    "with a gradient": lambda maps: replace(maps, maps=tuple(one.clone().requires_grad_() for one in maps.maps)),
    "tensors of detections shared": lambda maps: replace(
        maps, detections=replace(maps.detections, index=maps.detections.level, labels=maps.detections.level)
    ),
    "NumPy's numbers": lambda maps: replace(
        maps, input_size=(np.int64(40), 60), settings={"smoothing": np.float32(0.5), "seed": torch.tensor(3)}
    ),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_maps_come_back_from_wherever_they_are_kept(view, copied, tmp_path: Path) -> None:
    """Maps that are parts of one tensor, as methods make them, and detections that are."""
    together = torch.rand(3, 5, 4, 4)
    given = view(heat_maps(list(together)))
    back = copied(given, tmp_path)
    assert len(back) == len(given)
    for ours, theirs in zip(given.maps, back.maps):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    for name, ours in vars(given.detections).items():
        theirs = getattr(back.detections, name)
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
    for name in ("attributes", "reasons", "grids", "input_size", "layer", "method", "settings"):
        assert getattr(back, name) == getattr(given, name)


def test_what_is_kept_of_a_part_is_no_larger_than_the_part() -> None:
    """Every map, and every row of detections, may be a view of the tensor of all."""
    together = torch.rand(50, 5, 16, 16)
    maps = heat_maps(list(together))
    whole, part = len(pickle.dumps(maps)), len(pickle.dumps(maps[7]))
    assert whole < 1.2 * together.nbytes and part < 0.05 * whole
    views = replace(maps.detections, **{name: torch.cat([value] * 99)[:50] for name, value in tensors_of(maps).items()})
    assert len(pickle.dumps(views)) < 1.2 * len(pickle.dumps(maps.detections))
    assert len(pickle.dumps(views[:1])) < 0.5 * len(pickle.dumps(views))


def tensors_of(maps: HeatMaps) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(maps.detections).items() if isinstance(value, torch.Tensor)}


def test_a_setting_that_no_file_can_hold_is_named(tmp_path: Path) -> None:
    maps = heat_maps([torch.rand(5, 2, 2)], settings={"of": heat_maps})
    with pytest.raises(TypeError, match="setting is an object of type function, which cannot be written"):
        maps.save(tmp_path / "maps.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_no_detection_gives_an_empty_stack() -> None:
    assert heat_maps([]).to_image().shape == (0, 5, 40, 60)
    assert heat_maps([]).zero().shape == (0, 5)
