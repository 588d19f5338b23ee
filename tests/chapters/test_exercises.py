"""The exercises' checks: every right answer is called right, and every usual mistake is told by name."""

import operator
from collections.abc import Callable

import pytest
import torch
from odam_chapters.all_methods.exercises import check_difference
from odam_chapters.attention.exercises import check_heads
from odam_chapters.attributes import check_change, check_combined
from odam_chapters.crowds.exercises import check_correlation, check_duplicate, check_low, check_pairs
from odam_chapters.detectors.exercises import check_better, check_fake, check_ranks
from odam_chapters.errors.exercises import check_number, check_verdict
from odam_chapters.exercises import WIDTH, check_most
from odam_chapters.judging.exercises import NOT_ENERGY, check_cheat, check_energy, check_needed, check_zero
from odam_chapters.odam_train.exercises import check_first_order, check_gap, check_odam_loss
from odam_chapters.odam_train.separation import CandidatePairs
from odam_chapters.own.exercises import check_cells, check_formula, check_silence
from odam_chapters.own.toy import BlobDetector, BlobNet
from odam_chapters.quickstart import check_share, check_shrinking
from torch import Tensor

from odam_lib import ODAM, explain
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.odam import combine, min_max
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.agreement import rank_correlation


def flat(said: str) -> str:
    """A reply on one line."""
    return " ".join(said.split())


@pytest.fixture(scope="module")
def explained(detector, held_out):
    image = held_out[0][0]
    return image, explain(detector, image)


def test_shrinking(detector, explained) -> None:
    image, maps = explained
    assert check_shrinking(ODAM(gradient="negative"), detector, image, maps).startswith("right")
    assert "shares evidence" in check_shrinking(ODAM(), detector, image, maps)
    for strange in (None, "", ODAM, 3):
        assert check_shrinking(strange, detector, image, maps).startswith("open"), strange


def careless(maps: Tensor) -> Tensor:
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return ((maps - low) / (high - low)).amax(dim=0)


def test_combined(explained) -> None:
    _, maps = explained
    assert check_combined(combine, maps).startswith("right")
    assert check_combined(lambda maps: min_max(maps).amax(dim=0), maps).startswith("right")
    assert "divides by zero" in check_combined(careless, maps)
    assert "largest unit" in check_combined(lambda maps: maps.amax(dim=0), maps)
    assert "scaled together" in check_combined(lambda maps: (maps / maps.max()).amax(dim=0), maps)
    assert "maximum over the maps" in flat(check_combined(lambda maps: min_max(maps).mean(dim=0), maps))
    assert "return a tensor of shape" in check_combined(lambda maps: maps, maps)
    for open_answer in (check_combined(None, maps), check_combined(combine, maps[:0])):
        assert open_answer.startswith("open")


def test_the_most_is_right_wrong_or_open() -> None:
    values = {"ODAM, class map": 0.6, "cross-attention": 0.9}
    asked = check_most(None, values, "loss")
    assert asked.startswith("open: where is the loss largest?") and asked.endswith(
        "'ODAM, class map', 'cross-attention'."
    )
    assert check_most("attention", values, "loss").startswith("open")
    listed = "the loss is largest with cross-attention (ODAM, class map 0.60, cross-attention 0.90)."
    assert check_most("cross-attention", values, "loss") == f"right: {listed}"
    assert flat(check_most("ODAM, class map", values, "loss")) == f"not quite, you said ODAM, class map: {listed}"
    assert check_most(["cross-attention"], values, "loss").startswith("open")
    for nothing in ({}, {"cross-attention": float("nan")}):
        assert "nothing was measured" in check_most("cross-attention", nothing, "loss")


def test_heads_are_right_wrong_or_open() -> None:
    energies, scene_of = torch.zeros(8, 2, 3, 4), torch.arange(8) // 2
    energies[:, 1, 2] = torch.tensor([2.0, 2.0, 1.0, 1.0])  # leans to the left and to the top
    energies[:6, 0, 1] = torch.tensor([1.0, 1.0, 2.0, 2.0])  # to the right and the bottom, in three scenes of four
    leans, other = (1, 2), (0, 1)
    best = {"x1": leans, "y1": leans, "x2": other, "y2": other}
    verdict = flat(check_heads(best, energies, scene_of))
    assert verdict.startswith("right: on scenes that you did not choose on") and "in 0.88 (95 % interval" in verdict
    swapped = {"x1": other, "y1": other, "x2": leans, "y2": leans}
    assert "Is an edge exchanged" in flat(check_heads(swapped, energies, scene_of))
    one_for_all = flat(check_heads(dict.fromkeys(EDGES, leans), energies, scene_of))
    assert one_for_all.startswith("not quite: x1 and x2 have the same head") and "0.50, by arithmetic" in one_for_all
    idle = {"x1": leans, "y1": leans, "x2": (0, 0), "y2": (0, 0)}
    assert "The right edge (x2) has 0.00" in flat(check_heads(idle, energies, scene_of))


def test_one_head_for_all_edges_is_never_right() -> None:
    """Ties and rounding once made it so."""
    energies = torch.rand(218, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for layer in range(3):
        for head in range(4):
            answer = dict.fromkeys(EDGES, (layer, head))
            assert check_heads(answer, energies, torch.arange(218) // 6).startswith("not quite")


def test_heads_that_do_not_exist_are_told() -> None:
    given = torch.ones(4, 2, 3, 4), torch.arange(4)
    assert check_heads(None, *given) == "open: for each edge give (layer, head), layers 0 to 1 and heads 0 to 2."
    assert check_heads("x1", *given) == check_heads(3, *given) == check_heads(None, *given)
    assert "a head for each of x1, y1, x2, y2" in check_heads({"x1": (0, 0)}, *given)
    assert "a pair, (layer, head)" in check_heads(dict.fromkeys(EDGES, 3), *given)
    for absent in ((2, 0), (0, 3), (-1, 0)):
        assert "there are layers 0 to 1" in check_heads(dict.fromkeys(EDGES, (0, 0)) | {"y2": absent}, *given)


def test_a_rank_correlation_is_right_and_slips_are_named() -> None:
    first, second = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(1))

    def correlate(turned: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda one, other: torch.corrcoef(torch.stack([turned(map_.flatten()) for map_ in (one, other)]))[0, 1]

    def cosine(one: Tensor, other: Tensor) -> Tensor:
        return torch.cosine_similarity(one.flatten(), other.flatten(), dim=0)

    assert check_ranks(None, first, second).startswith("open")
    right = check_ranks(correlate(lambda values: values.argsort().argsort().double()), first, second)
    assert right == f"right: of the two maps it is {float(rank_correlation(first, second)):.2f}."
    assert "the brightest cell decides" in check_ranks(correlate(lambda values: values), first, second)
    assert "sort its result once more" in check_ranks(correlate(lambda v: v.argsort().double()), first, second)
    assert "neither is centred" in flat(check_ranks(cosine, first, second))
    assert "your function says 0.00" in check_ranks(lambda *_: 0.0, first, second)


def test_more_is_right_beyond_chance_only() -> None:
    reference, scenes = torch.linspace(0.2, 0.4, 12), torch.arange(12) // 3
    assert check_better(None, reference, scenes).startswith("open: measure the energy of 12 objects")
    for typed in (0.99, torch.tensor(0.99), torch.ones(3)):
        assert "give Tensor[12], the energy of each object" in check_better(typed, reference, scenes)
    lost = torch.where(torch.arange(12) == 4, torch.nan, reference + 0.05)
    assert check_better(lost, reference, scenes).startswith("right: +0.050 for the same object")
    unsure = reference + torch.tensor([0.3, -0.2, 0.1, -0.1]).repeat_interleave(3)
    assert "the interval holds 0" in check_better(unsure, reference, scenes)
    assert check_better(reference, reference, scenes).endswith("It is not more.")


def test_a_fake_is_judged_by_its_energy() -> None:
    image, box = torch.rand(3, 8, 10), torch.tensor([2.0, 2.0, 6.0, 6.0])
    mask = torch.zeros(8, 10, dtype=torch.bool)
    mask[2:6, 2:4] = True

    def filled(image: Tensor, box: Tensor) -> Tensor:
        return box_regions(box[None], (image.shape[1], image.shape[2]))[0].float()

    assert check_fake(None, image, box, mask, 0.4).startswith("open")
    assert check_fake(filled, image, box, mask, 0.4).startswith("right: 0.50 of its energy")
    assert check_fake(filled, image, box, mask, 0.6).startswith("not quite: 0.50")
    assert "shape (8, 10)" in check_fake(lambda *_: torch.ones(3), image, box, mask, 0.4)
    for bad in (-1.0, 0.0, float("nan")):
        assert "finite" in check_fake(lambda *_, bad=bad: torch.full((8, 10), bad), image, box, mask, 0.4)


def test_a_cheat_has_to_beat_the_explanation_with_maps_that_have_energy() -> None:
    boxes, size = torch.tensor([[1.0, 1, 3, 3]]), (4, 5)

    def painted(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return box_regions(boxes, size).float()

    assert check_cheat(None, boxes, size, 0.7).startswith("open")
    assert check_cheat(painted, boxes, size, 0.7).startswith("right: 1.00")
    even = flat(check_cheat(lambda b, s: torch.ones(1, *s), boxes, size, 0.7))
    assert even.startswith("not quite: 0.20") and "bright everywhere" in even
    assert check_cheat(lambda b, s: torch.full((1, *s), torch.nan), boxes, size, 0.7).startswith("not quite")
    assert "shape [1, 4, 5]" in check_cheat(lambda b, s: torch.ones(2, 2), boxes, size, 0.7)


def test_energy_is_told_apart_from_what_it_is_taken_for() -> None:
    def energy(heat: Tensor, mask: Tensor) -> Tensor:
        return heat[mask].sum() / heat.sum().clamp(min=1e-9)

    assert check_energy(energy) == "right: 0.58, as energy_inside says."
    assert "divide 0 by 0" in check_energy(lambda heat, mask: heat[mask].sum() / heat.sum())
    assert {flat(check_energy(wrong)) for wrong, _ in NOT_ENERGY} == {f"not quite: {why}." for _, why in NOT_ENERGY}
    assert "12 units" in check_energy(lambda heat, mask: 0.1) and check_energy(None).startswith("open")


def test_the_two_parts_that_matter_are_told_from_bright_ones() -> None:
    falls = {"torso": 0.3, "head": 0.2, "leg": 0.1, "arm": 0.0}
    bright = {"torso": 9.0, "head": 0.1, "leg": 8.0, "arm": 1.0}
    assert check_needed(("head", "torso"), falls, bright).startswith("right: the score loses 0.30")
    assert "It was tempting" in flat(check_needed(("torso", "leg"), falls, bright))
    assert "without the arm it loses 0.00." in flat(check_needed(("torso", "arm"), falls, bright))
    for nothing in (None, 2, "torso", ("torso", "torso"), ("torso", "ear"), [["torso"], "head"]):
        assert check_needed(nothing, falls, bright).startswith("open")


def test_zeros_are_judged_by_the_features_beneath_them() -> None:
    assert check_zero(-0.01, -0.01, 0.9).startswith("right: -0.0100")
    assert "near, but a guess or rounded" in check_zero(0, -0.001, 0.9)
    assert "take where it is 0" in check_zero(0.9, -0.01, 0.9)
    assert check_zero(0.3, -0.01, 0.9).startswith("not quite, +0.30") and check_zero(None, 0, 1).startswith("open")


def test_the_loss_of_one_best_map() -> None:
    def loss(maps: Tensor, objects: Tensor, best: int, itself: bool = False, unit: bool = True) -> Tensor:
        flat = maps.flatten(1)
        flat = flat / flat.norm(dim=1, keepdim=True) if unit else flat / 40
        cosines = flat @ flat[best]
        agree = (objects == objects[best]) & (itself | (torch.arange(len(maps)) != best))
        return torch.cat([-cosines[agree].log(), -(1 - cosines[objects != objects[best]]).log()]).mean()

    assert check_odam_loss(loss).startswith("right")
    assert "no pair; 5 pairs remain" in check_odam_loss(lambda *given: loss(*given, itself=True))
    assert "divide each map by its length" in check_odam_loss(lambda *given: loss(*given, unit=False))
    assert "is right" in check_odam_loss(lambda *given: 2 * loss(*given))
    assert "one number" in check_odam_loss(lambda maps, objects, best: maps)
    for cut in (lambda *given: loss(*given).item(), lambda *given: loss(*given).detach()):
        assert "no gradient reaches the maps" in flat(check_odam_loss(cut))

    def parts(maps: Tensor, objects: Tensor, best: int) -> tuple[Tensor, Tensor]:
        unit = torch.nn.functional.normalize(maps.flatten(1), dim=1)
        cosines, same = unit @ unit[best], objects == objects[best]
        return -cosines[same & (torch.arange(len(maps)) != best)].log(), -(1 - cosines[~same]).log()

    assert "that is the sum" in check_odam_loss(lambda *given: torch.cat(parts(*given)).sum())
    assert "two means, added" in check_odam_loss(lambda *given: sum(one.mean() for one in parts(*given)))
    assert "might become the same" in check_odam_loss(lambda *given: parts(*given)[0].mean())
    assert "would part, too" in check_odam_loss(lambda *given: parts(*given)[1].mean())
    assert check_odam_loss(None).startswith("open")


def test_in_first_order_only_the_activations_learn() -> None:
    def first(y: Tensor, features: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(y, features, create_graph=True)
        return torch.relu((gradient.detach() * features).sum(dim=1))[0]

    def second(y: Tensor, features: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(y, features, create_graph=True)
        return torch.relu((gradient * features).sum(dim=1))

    def greedy(y: Tensor, features: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(y, features)
        return torch.relu((gradient * features).sum(dim=1))[0]

    assert check_first_order(first).startswith("right")
    assert "retain_graph=True" in flat(check_first_order(greedy))
    assert "this is second order" in check_first_order(second)
    assert "nothing can learn from it" in check_first_order(lambda *given: first(*given).detach())
    assert "another map" in check_first_order(lambda *given: 2 * first(*given))
    assert check_first_order(None).startswith("open")


def test_the_gap_is_what_is_wider() -> None:
    same, images = torch.tensor([True, True, False, False]), torch.arange(4)
    before, after = (
        CandidatePairs(torch.full((4,), 0.7), torch.tensor(values), same, images)
        for values in ([0.8, 0.6, 0.5, 0.5], [0.7, 0.5, 0.2, 0.2])
    )
    assert check_gap(0.2, before, after) == "right: from 0.20 to 0.40, wider by 0.20."
    assert check_gap(torch.tensor(0.2), before, after).startswith("right")
    assert "the pairs of one person fell, too" in flat(check_gap(0.3, before, after))
    assert "Subtract it" in check_gap(0.4, before, after) and "0.90; keep pairs" in check_gap(0.9, before, after)
    assert check_gap(None, before, after).startswith("open")


def test_pairs_are_counted_beside_the_rules() -> None:
    truth = [True, False, False]
    rules = {"NMS": [True, True, True], "boxes": [False, True, False], "maps": [True, False, True]}
    said = flat(check_pairs(truth, truth, rules))
    assert said.startswith("right: all of them. Right of 3: you 3, NMS 1, boxes 1, maps 2. ")
    assert "the maps do better than the boxes, and you beat them" in said
    said = flat(check_pairs([True, True, False], truth, rules))
    assert said.startswith("not quite: wrong about pair 1. Right of 3: you 2") and "you and they are level" in said
    turned = {"boxes": rules["maps"], "maps": rules["boxes"]}
    assert "the maps do worse than the boxes, and they beat you" in flat(
        check_pairs([False, True, True], truth, turned)
    )
    assert check_pairs([True, None, False], truth, rules).startswith("open")
    assert check_pairs([True], truth, rules).startswith("open")


def test_the_correlation_of_two_maps() -> None:
    def divided(length: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda one, two: (one * two).sum() / length(one) / length(two)

    def pearson(one: Tensor, two: Tensor) -> Tensor:
        return divided(torch.norm)(one - one.mean(), two - two.mean())

    assert check_correlation(divided(torch.norm)).startswith("right: 1 for the same map")
    assert "how bright both are" in check_correlation(lambda one, two: (one * two).sum())
    assert "Pearson" in check_correlation(pearson)
    for length in (torch.sum, torch.max):
        assert "which should be 1" in check_correlation(divided(length))
    assert "sum over the cells" in check_correlation(lambda one, two: one * two)
    assert "is right" in check_correlation(lambda one, two: divided(torch.norm)(one, two).sqrt())
    assert check_correlation(None).startswith("open")


def test_the_lower_threshold_sorts_both_kinds() -> None:
    same = torch.tensor([True] * 8 + [False] * 2)
    values = torch.tensor([0.5, 0.6, 0.7, 0.7, 0.8, 0.8, 0.9, 0.9, 0.2, 0.3])
    pairs = CandidatePairs(torch.full((10,), 0.7), values, same, torch.zeros(10))
    assert check_low(0.4, pairs).startswith("right: T_l 0.4 calls 100% of the pairs of one person one, and 100%")
    assert "80% of all pairs are of one person" in check_low(0.0, pairs)
    assert "parts boxes of one person" in check_low(0.95, pairs)
    assert "no threshold" in check_low(4, pairs) and check_low(None, pairs).startswith("open")


def test_the_rule_of_duplicates() -> None:
    assert check_duplicate(lambda iou, corr, t_iou, low, high: corr > (low if iou > t_iou else high)).startswith(
        "right"
    )
    assert "only the first half" in check_duplicate(lambda iou, corr, t_iou, low, high: iou > t_iou and corr > low)
    assert "classical NMS" in check_duplicate(lambda iou, corr, t_iou, low, high: iou > t_iou)
    assert "swapped" in check_duplicate(lambda iou, corr, t_iou, low, high: corr > (high if iou > t_iou else low))
    assert "saves the neighbour" in check_duplicate(lambda iou, corr, t_iou, low, high: iou > t_iou or corr > high)
    assert "is another object" in check_duplicate(lambda *given: True)
    for at_maps, at_boxes, why in (
        (operator.ge, operator.gt, "exactly T_l or T_h"),
        (operator.gt, operator.ge, "exactly T_iou"),
        (operator.ge, operator.ge, "exactly at a threshold"),
    ):
        said = check_duplicate(
            lambda iou, corr, t_iou, low, high, a=at_maps, b=at_boxes: a(corr, low if b(iou, t_iou) else high)
        )
        assert why in flat(said)
    assert check_duplicate(None).startswith("open")


PAIRS = CandidatePairs(torch.full((4,), 0.7), torch.rand(4), torch.tensor([True, True, False, False]), torch.arange(4))
OF_FUNCTIONS = (
    check_odam_loss,
    check_first_order,
    check_correlation,
    check_duplicate,
    check_difference,
    check_formula,
    check_energy,
    check_verdict,
    lambda answer: check_cheat(answer, torch.tensor([[0.0, 0, 4, 4]]), (8, 8), 0.5),
    lambda answer: check_fake(answer, torch.rand(3, 8, 8), torch.tensor([0.0, 0, 4, 4]), torch.ones(8, 8) > 0, 0.5),
    lambda answer: check_number(answer, [None]),
    lambda answer: check_ranks(answer, torch.rand(4, 4), torch.rand(4, 4)),
)
OF_VALUES = {
    "change": lambda answer: check_change(answer, None, None, []),
    "needed": lambda answer: check_needed(answer, {"torso": 0.3, "head": 0.2}, {"torso": 9.0, "head": 0.1}),
    "share": lambda answer: check_share(answer, torch.ones(2, 2), torch.ones(2, 2) > 0),
    "zero": lambda answer: check_zero(answer, -0.001, 0.9),
    "gap": lambda answer: check_gap(answer, PAIRS, PAIRS),
    "low": lambda answer: check_low(answer, PAIRS),
    "silence": lambda answer: check_silence(answer, DETECTOR, [], []),
    "most": lambda answer: check_most(answer, {"a": 1.0, "b": 2.0}, "loss"),
    "pairs": lambda answer: check_pairs(answer, [True, False], {"boxes": [True, True], "maps": [True, False]}),
    "cells": check_cells,
}
DETECTOR = BlobDetector(BlobNet())


@pytest.mark.parametrize("check", OF_FUNCTIONS)
def test_what_is_no_function_or_fails_gets_a_sentence(check: Callable) -> None:
    for strange in (3, 0.5, "relu", [], ..., torch.zeros(2)):
        assert check(strange).startswith("open"), strange
    assert "it stops with ZeroDivisionError" in flat(check(lambda *given: 1 / 0))
    for answer in (None, "relu", object()):
        assert check(lambda *given, answer=answer: answer).startswith(("not quite", "open")), answer


@pytest.mark.parametrize("name", OF_VALUES)
def test_what_is_no_answer_gets_a_sentence(name: str) -> None:
    for strange in ("relu", {"a": 1}, ..., object(), True):
        assert OF_VALUES[name](strange).startswith("open"), strange
    assert OF_VALUES[name](torch.zeros(2)).startswith(("open", "not quite"))


def test_replies_fit_a_page() -> None:
    for answer in (
        None,
        torch.norm,
        lambda one, two: (one * two).sum(),
        lambda one, two: torch.ones(30, 30) + one[0, 0],
    ):
        assert max(len(line) for line in check_correlation(answer).splitlines()) <= WIDTH
