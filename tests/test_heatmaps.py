"""The container of heat maps."""

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from odam_lib.detections import Detections
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.kernels.grid import Grid


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


def test_they_are_printed_in_a_line() -> None:
    assert repr(heat_maps([torch.ones(1, 2, 2)] * 2, ("class",))) == "HeatMaps(2: person, person; class; test at fpn)"
    assert repr(heat_maps([torch.ones(1, 2, 2)] * 9, ("x1",))).count("person") == 8


def test_no_detection_gives_an_empty_stack() -> None:
    assert heat_maps([]).to_image().shape == (0, 5, 40, 60)
    assert heat_maps([]).zero().shape == (0, 5)
