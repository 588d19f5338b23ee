"""How bright a map is in the parts of a picture, and whether it ranks them as something else does."""

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from odam_lib.metrics.agreement import agreement, brightness_per_part
from odam_lib.metrics.localization import energy_inside


def energy_per_part(maps: Tensor, regions: Tensor) -> Tensor:
    """Sums instead of means, which must be ranked by the same rules."""
    return energy_inside(maps[:, None], regions)


def test_energy_and_brightness_by_hand() -> None:
    maps = torch.zeros(2, 4, 5)
    maps[0, 0, 0], maps[0, 3, 3:] = 2.0, 1.0
    regions = torch.zeros(3, 4, 5, dtype=torch.bool)
    regions[0, 0, :2] = regions[1, 3] = regions[2, 1] = True
    torch.testing.assert_close(energy_per_part(maps, regions), torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]))
    torch.testing.assert_close(brightness_per_part(maps, regions)[0], torch.tensor([0.5 / 0.1, 0.5 / 0.25, 0.0]))
    assert brightness_per_part(torch.ones(1, 4, 5), regions).tolist() == [[1.0, 1.0, 1.0]]
    with pytest.raises(ValueError, match="negative"):
        brightness_per_part(-maps, regions)


@pytest.mark.parametrize("measure", [energy_per_part, brightness_per_part])
def test_a_map_of_the_influence_itself_agrees_and_its_opposite_disagrees(measure) -> None:
    influence = torch.tensor([[0.3, 0.0, 0.1, 0.2, 0.1], [0.1, 0.2, 0.0, 0.1, 0.0], [0.2, 0.1, 0.3, 0.0, 0.2]])
    regions = torch.zeros(3, 6, 6, dtype=torch.bool)
    regions[0, :2] = regions[1, 2:4] = regions[2, 4:] = True
    maps = torch.einsum("ra,rhw->ahw", influence, regions.float())
    torch.testing.assert_close(agreement(measure(maps, regions), influence), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(agreement(measure(1 - maps, regions), influence), -torch.ones(5, dtype=torch.float64))


def test_agreement_shares_ranks_and_knows_when_it_knows_nothing() -> None:
    influence = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.1, 3.0], [0.2, 4.0]])
    energy = torch.tensor([[0.1, 0.1, 0.2, 0.3], [0.5, 0.5, 0.5, 0.5]])
    found = agreement(energy, influence)
    assert found[0] == pytest.approx(1) and found[1].isnan()
    assert agreement(energy[:, :2], influence[:2]).isnan().all()


@given(st.integers(3, 9), st.integers(0, 2**31), st.permutations(range(9)))
def test_permuted_causes_permute_and_leave_the_agreement(number: int, seed: int, order: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps, influence = torch.rand(2, 6, 9, generator=generator), torch.randn(number, 2, generator=generator)
    regions = torch.rand(number, 6, 9, generator=generator) < 0.4
    regions[:, 0, 0] = True
    order = [place for place in order if place < number]
    for measure in (energy_per_part, brightness_per_part):
        energy = measure(maps, regions)
        torch.testing.assert_close(measure(maps, regions[order]), energy[:, order])
        found = agreement(energy, influence)
        torch.testing.assert_close(agreement(energy[:, order], influence[order]), found)
        torch.testing.assert_close(agreement(energy, influence.double().exp() * 3), found)
        torch.testing.assert_close(agreement(energy, -influence), -found)


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_a_map_s_scale_and_regions_that_split_it_do_not_matter(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 6, 9, generator=generator)
    owner = torch.randint(4, (6, 9), generator=generator)
    regions = owner == torch.arange(4)[:, None, None]
    energy = energy_per_part(maps, regions)
    torch.testing.assert_close(energy.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(energy_per_part(maps * scale, regions), energy)
