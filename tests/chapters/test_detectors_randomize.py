"""The cascade: part by part from the output down, seeded, without touching the original."""

import pytest
import torch
from odam_chapters.detectors.randomize import PROPOSALS, list_parts, load_untrained, name_part, randomize_parts
from torch import nn

from odam_lib import explain
from odam_lib.detectors.zoo import ZOO, build_detector

BUNDLED = [name for name in ZOO if name.endswith("-scenes")]


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ZOO)
def test_every_weight_belongs_to_one_part(name: str) -> None:
    model = build_detector(name).model
    of_parts = [id(one) for part in list_parts(model) for one in model.get_submodule(part).parameters()]
    proposing = {id(one) for key, one in model.named_parameters() if key.startswith(f"{PROPOSALS}.")}
    assert len(of_parts) == len(set(of_parts))
    assert set(of_parts) == {id(one) for one in model.parameters()} - proposing
    titles = [name_part(part) for part in list_parts(model)]
    assert len(set(titles)) == len(titles) >= 5


@pytest.mark.parametrize("name", BUNDLED)
def test_parts_are_in_the_order_of_the_forward_pass(name: str) -> None:
    detector = load_untrained(name)
    seen: list[str] = []
    for part in list_parts(detector.model):
        inside = [one for one in detector.model.get_submodule(part).modules() if list(one.parameters(recurse=False))]
        for module in inside:
            module.register_forward_hook(lambda *_, part=part: seen.append(part))
    detector.trace(torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(0)))
    order = [part for part in dict.fromkeys(seen)]
    without_queries = [part for part in list_parts(detector.model) if part in order and "embeddings" not in part]
    assert [part for part in order if "embeddings" not in part] == without_queries
    assert len(order) >= 5


@pytest.mark.parametrize("name", BUNDLED)
def test_step_by_step_and_the_original_stays(name: str) -> None:
    detector, untrained = load_untrained(name, 0), load_untrained(name, 1)
    image = torch.rand(3, 128, 160, generator=torch.Generator().manual_seed(0))
    chosen = detector.trace(image).candidates[[5]]
    before, end = weights(detector.model), weights(untrained.model)
    changed: list[str] = []
    steps = list(randomize_parts(detector, untrained))
    assert [part for part, _ in steps] == list(reversed(list_parts(detector.model)))
    for part, copy in steps:
        changed.append(part)
        for key, value in copy.model.state_dict().items():
            expected = end if any(key.startswith(f"{one}.") for one in changed) else before
            assert torch.equal(value, expected[key]), key
        there = copy.trace(image).candidates[[5]]
        assert (there.level, there.index) == (chosen.level, chosen.index)
        assert len(explain(copy, image, chosen, ("class",))) == 1
    assert all(torch.equal(value, before[key]) for key, value in detector.model.state_dict().items())
    differing = [key for key, value in before.items() if not torch.equal(value, end[key])]
    assert all(any(key.startswith(part) for key in differing) for part in changed)


def test_a_two_stage_detector_keeps_its_proposals() -> None:
    detector = load_untrained("faster-rcnn-scenes", 0)
    image = torch.rand(3, 128, 160, generator=torch.Generator().manual_seed(0))
    *_, (_, random) = randomize_parts(detector, load_untrained("faster-rcnn-scenes", 1))
    kept, now = detector.trace(image), random.trace(image)
    torch.testing.assert_close(now.at_input, kept.at_input)
    assert not torch.allclose(now.logits, kept.logits)


def test_untrained_weights_are_seeded_and_leave_the_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, second, other = (load_untrained("fcos-scenes", seed).model for seed in (7, 7, 8))
    assert torch.equal(torch.rand(1), expected)
    same = weights(first)
    assert all(torch.equal(value, same[key]) for key, value in second.state_dict().items())
    assert any(not torch.equal(value, same[key]) for key, value in other.state_dict().items())
    with pytest.raises(ValueError, match="Unknown detector 'yolo'"):
        load_untrained("yolo")


def test_titles_are_short() -> None:
    assert name_part("backbone.stages.stage2") == "stage2"
    assert name_part("backbone.body.stages.3") == "stages.3"
    assert name_part("head") == "head"
