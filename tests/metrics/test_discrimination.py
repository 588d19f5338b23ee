"""The object discrimination index against values worked out by hand."""

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from odam_lib.metrics.discrimination import floor, object_discrimination


def three_objects() -> Tensor:
    """Columns 0-2, 2-3 and 3-4 of a picture of one row and six columns; columns 2 and 3 are shared."""
    regions = torch.zeros(3, 1, 6, dtype=torch.bool)
    regions[0, :, 0:3] = regions[1, :, 2:4] = regions[2, :, 3:5] = True
    return regions


def test_discrimination_by_hand() -> None:
    maps = torch.tensor([[[1.0, 2, 3, 4, 5, 100]]]).expand(3, 1, 6)
    # on objects 15; others of object 0: columns 2-4 (12), of 1: all but column 5 (15), of 2: columns 0-3 (10)
    expected = torch.tensor([12 / 15, 1, 10 / 15])
    torch.testing.assert_close(object_discrimination(maps, torch.arange(3), three_objects()), expected)
    own = torch.tensor([2, 0, 0])
    torch.testing.assert_close(object_discrimination(maps, own, three_objects()), expected[own])


def test_a_pixel_on_several_other_objects_counts_once() -> None:
    maps = torch.tensor([[[1.0, 0, 0, 1, 0, 0]]])
    assert object_discrimination(maps, torch.tensor([0]), three_objects()).item() == pytest.approx(0.5)


def test_floor_by_hand() -> None:
    boxes, masks = three_objects(), three_objects()
    masks[0, :, 2] = masks[2, :, 3] = False
    # masks: columns 0-1, 2-3, 4; of the second both columns lie in another box, of the others none
    assert floor(torch.tensor([0, 1, 2, 1]), boxes, masks).tolist() == [0, 1, 0, 1]
    assert floor(torch.arange(3), masks, masks).tolist() == [0, 0, 0]
    # boxes as their own masks: 1 of 3 columns, all, 1 of 2
    torch.testing.assert_close(floor(torch.arange(3), boxes, boxes), torch.tensor([1 / 3, 1, 1 / 2]))


def test_without_energy_on_objects_or_without_others_there_is_no_index() -> None:
    maps = torch.tensor([[[0.0, 0, 0, 0, 0, 1]], [[0, 0, 0, 0, 0, 0]], [[1, 0, 0, 0, 0, 0]]])
    index = object_discrimination(maps, torch.tensor([0, 0, 0]), three_objects())
    assert index[:2].isnan().all() and index[2] == 0
    assert object_discrimination(maps, torch.tensor([0, 0, 0]), three_objects()[:1]).isnan().all()
    assert object_discrimination(maps[:0], torch.arange(0), three_objects()).shape == (0,)
    empty = torch.zeros(3, 1, 6, dtype=torch.bool)
    assert floor(torch.tensor([1]), three_objects(), empty).isnan().all()


@given(st.integers(0, 2**16), st.integers(2, 5))
def test_properties(seed: int, objects: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(4, 5, 6, generator=generator)
    regions = torch.rand(objects, 5, 6, generator=generator) < 0.4
    own = torch.randint(objects, (4,), generator=generator)
    index = object_discrimination(maps, own, regions)
    assert ((index >= 0) & (index <= 1)).all()
    for factor in (1e-30, 1e30):
        torch.testing.assert_close(object_discrimination(factor * maps, own, regions), index)
    flipped = object_discrimination(maps.flip(-1), own, regions.flip(-1))
    torch.testing.assert_close(flipped, index)
    order = torch.randperm(objects, generator=generator)
    torch.testing.assert_close(object_discrimination(maps, order.argsort()[own], regions[order]), index)
    rows = torch.randperm(4, generator=generator)
    torch.testing.assert_close(object_discrimination(maps[rows], own[rows], regions), index[rows])


def test_bad_input_is_refused() -> None:
    maps, own, regions = torch.ones(3, 1, 6), torch.arange(3), three_objects()
    with pytest.raises(ValueError, match="negative values"):
        object_discrimination(-maps, own, regions)
    with pytest.raises(ValueError, match="not finite"):
        object_discrimination(maps * torch.nan, own, regions)
    with pytest.raises(ValueError, match="own \\[2\\]"):
        object_discrimination(maps, own[:2], regions)
    with pytest.raises(ValueError, match="give bool \\[M, 1, 6\\]"):
        object_discrimination(maps, own, regions.float())
    with pytest.raises(ValueError, match="give bool \\[M, 1, 6\\]"):
        object_discrimination(maps, own, regions[..., :5])
    for wrong in (3, -1):
        with pytest.raises(ValueError, match="of 3: count"):
            object_discrimination(maps, torch.tensor([0, 1, wrong]), regions)
        with pytest.raises(ValueError, match="of 3: count"):
            floor(torch.tensor([wrong]), regions, regions)
