"""Checks for the notebooks' exercises: each returns a sentence that says whether an answer is right, and why."""

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.timing import Cost, break_even
from odam_lib.detectors.base import Detector
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import EDGES, HeatMaps
from odam_lib.kernels.odam import combine
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import centre_in_box, energy_inside
from odam_lib.viz.plots import TITLES

SIDES = ("left", "right", "top", "bottom", "centre")
CLEAR = 0.1
"""A score has clearly changed if it has by this much."""
CENTRAL = 0.1
"""A centre of mass within this share of the box's half side is in the centre."""


def side_of_energy(heat: Tensor, box: Tensor) -> str:
    """On which side of a box the centre of mass of a map's energy in that box lies.

    Args:
        heat: ``Tensor[H, W]``, non-negative, at image size, with energy in the box.
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels.

    Returns:
        One of ``SIDES``.
    """
    across, down = centre_in_box(heat, box).tolist()
    if max(abs(across), abs(down)) < CENTRAL:
        return "centre"
    if abs(across) >= abs(down):
        return "left" if across < 0 else "right"
    return "top" if down < 0 else "bottom"


def check_side(answer: str | None, heat_maps: HeatMaps, attribute: str) -> str:
    """Check a prediction of where the first detection's map of an attribute has its centre of mass."""
    if answer is None or not len(heat_maps):
        return f"open: where will the map of the {TITLES[attribute]} be? Answer with one of {', '.join(SIDES)}."
    if answer not in SIDES:
        return f"open: {answer!r} is no answer; choose one of {', '.join(SIDES)}."
    chosen = heat_maps[0].select(attribute)
    heat = chosen.to_image()[0, 0]
    if not heat.any():
        return f"open: that map is zero ({chosen.reasons[0][0]}); take another object."
    box = chosen.detections.boxes[0]
    if not (heat * box_regions(box[None], (heat.shape[0], heat.shape[1]))[0]).any():
        return "open: that map lies outside the box; take another object."
    found = side_of_energy(heat, box)
    verdict = "right" if answer == found else f"not quite, you said {answer}"
    return (
        f"{verdict}: the map's centre of mass lies {'in the ' if found == 'centre' else 'at the '}{found} of the box."
    )


def check_shrinking(method: Callable | None, detector: Detector, image: Tensor, heat_maps: HeatMaps) -> str:
    """Check that a method shows what *shrinks* the box: nothing in common with what expands it, and not empty."""
    if method is None or not len(heat_maps):
        return "open: build a method with ODAM(...) whose map of an edge shows what pulls that edge inwards."
    first = heat_maps.detections[0]
    theirs = explain(detector, image, first, ("x2",), method).maps[0]
    expanding = explain(detector, image, first, ("x2",), ODAM(smoothing=getattr(method, "smoothing", None))).maps[0]
    if (theirs < 0).any():
        return "not quite: the map has negative values, so it mixes what shrinks the box with what expands it."
    if not theirs.any():
        return "not quite: the map is zero everywhere."
    shared = float((theirs * expanding).sum() / (theirs.norm() * expanding.norm()).clamp(min=1e-12))
    if shared > 1e-3:
        return f"not quite: the map still shares evidence with the expanding one (cosine {shared:.2f})."
    return "right: where this map is high, more activation moves the right edge inwards."


def check_farthest_edge(answer: str | None, towards: Mapping[str, float]) -> str:
    """Check which edge's maps keep farthest away from the edge that they explain.

    Args:
        answer: one of ``x1``, ``y1``, ``x2``, ``y2``.
        towards: for each edge how far its maps lie towards it, 0 in the middle of the box and 1 at the edge.
    """
    if any(value != value for value in towards.values()):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if answer not in EDGES:
        return f"open: which edge's maps stay nearest to the middle? Answer with one of {', '.join(EDGES)}."
    found = min(towards, key=towards.__getitem__)
    verdict = "right" if answer == found else f"not quite, you said the {TITLES[answer]}"
    values = ", ".join(f"{edge} {value:.2f}" for edge, value in towards.items())
    return f"{verdict}: maps of the {TITLES[found]} lie nearest to the middle ({values}; 0: the middle, 1: the edge)."


def check_both_directions(method: Callable | None, detector: Detector, image: Tensor, heat_maps: HeatMaps) -> str:
    """Check that a method shows, without a sign, what expands the box together with what shrinks it."""
    if method is None or not len(heat_maps):
        return "open: build a method with ODAM(...) whose map is high wherever an edge is pushed or pulled."
    first, smoothing = heat_maps.detections[0], getattr(method, "smoothing", None)

    def right_edge(explainer: Callable) -> Tensor:
        return explain(detector, image, first, ("x2",), explainer).maps[0]

    theirs = right_edge(method)
    pushed, pulled = (right_edge(ODAM(smoothing, gradient)) for gradient in ("positive", "negative"))
    if (theirs < 0).any():
        return "not quite: the map is signed; the two directions have different signs in it."
    if torch.allclose(theirs, pushed + pulled, rtol=1e-3, atol=1e-4 * float((pushed + pulled).max())):
        return "right: it is the sum of the expanding and the shrinking map, and no longer tells them apart."
    missing = [name for name, part in (("expands", pushed), ("shrinks", pulled)) if not theirs[part > 0].any()]
    return f"not quite: what {missing[0]} the box is missing." if missing else "not quite: it is not their sum."


def check_combined(function: Callable[[Tensor], Tensor] | None, heat_maps: HeatMaps) -> str:
    """Check a function that makes the combined map ``Tensor[h, w]`` of raw maps ``Tensor[attributes, h, w]``."""
    if function is None or not len(heat_maps):
        return "open: write a function of a tensor [attributes, h, w] that returns the combined map [h, w]."
    raw = heat_maps.maps[0]
    made = function(raw.clone())
    if not isinstance(made, Tensor) or made.shape != raw.shape[1:]:
        return f"not quite: return a tensor of shape {tuple(raw.shape[1:])}, one map."
    if torch.allclose(made, raw.amax(dim=0)):
        return "not quite: without normalising, whatever has the largest unit wins; scale each map to [0, 1] first."
    if torch.allclose(made, raw.amax(dim=0) / raw.amax().clamp(min=1e-30)):
        return "not quite: the maps are scaled together; scale each one by itself."
    with_zeros = torch.cat([torch.zeros_like(raw[:1]), raw])
    if not torch.isfinite(function(with_zeros)).all():
        return "not quite: a map of zeros divides by zero; it should stay zero."
    if torch.allclose(made, combine(raw), atol=1e-4):
        return "right: the same as HeatMaps.combined(), which also takes the maximum after scaling each map to [0, 1]."
    return "not quite: take each map's minimum away, divide by its new maximum, then take the maximum over the maps."


def check_least(answer: str | None, values: Mapping[str, float], what: str) -> str:
    """Check a prediction of which of several things has the least of something.

    Args:
        answer: one of the names.
        values: by name; NaN where nothing was measured.
        what: name of the number, for the sentence.
    """
    question = f"where is the {what} least? Answer with one of {', '.join(values)}."
    return _check_winner(answer, values, min, question, f"the {what} is least at")


def check_more(value: float | None, reference: float, what: str) -> str:
    """Check that a number the learner measured is larger than a reference."""
    if reference != reference or (value is not None and value != value):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if value is None:
        return f"open: measure the {what} of your own choice; {reference:.2f} is to be beaten."
    if value <= reference:
        return f"not quite: {value:.2f} is not more than {reference:.2f}."
    return f"right: {what} {value:.2f}, more than {reference:.2f}."


def check_fake(
    function: Callable[[Tensor, Tensor], Tensor] | None, image: Tensor, box: Tensor, mask: Tensor, reference: float
) -> str:
    """Check a map that is made without any detector and has more energy in an object's mask than a detector's map.

    Args:
        function: (image ``[3, H, W]``, box ``[4]``) -> map ``[H, W]``.
        image: ``Tensor[3, H, W]`` in [0, 1].
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels, of the object.
        mask: bool ``Tensor[H, W]``, its visible pixels.
        reference: the share of energy that the detector's map of it has there.
    """
    if function is None:
        return "open: write a function (image, box) -> map [H, W] that asks no detector."
    made = function(image.clone(), box.clone())
    if not isinstance(made, Tensor) or made.shape != image.shape[1:]:
        return f"not quite: return a tensor of shape {tuple(image.shape[1:])}, one map."
    made = made.float()
    if not torch.isfinite(made).all() or (made < 0).any() or not made.any():
        return "not quite: the map has to be finite, nowhere negative, and not zero everywhere."
    share = float(energy_inside(made, mask))
    if share <= reference:
        return f"not quite: {share:.2f} of its energy lies in the object, of the detector's map {reference:.2f}."
    return (
        f"right: {share:.2f} of its energy lies in the object, of the detector's map {reference:.2f}. And it knows "
        "nothing of any detector: after every step of the cascade it is the same, correlation 1."
    )


def check_factor(answer: float | None, factor: float) -> str:
    """Check a guess of how many times faster something is; within a factor of three it is right."""
    if math.isnan(factor):
        return "open: nothing was measured."
    if answer is None or answer <= 0:
        return "open: how many times faster? Answer with a positive number, as 1, 10, 100 or 1000."
    verdict = "right" if 1 / 3 < answer / factor < 3 else f"not quite, you said {answer:g}"
    return f"{verdict}: it is {factor:.0f} times faster here."


def check_break_even(answer: float | None, growth: Mapping[int, Cost], seconds: float) -> str:
    """Check how many explained predictions cost so many seconds; within 30 % of what was measured it is right."""
    found = break_even(growth, seconds)
    if math.isnan(found):
        return "open: nothing was measured; give more than one of NUMBERS."
    if answer is None:
        return "open: how many explained predictions cost as much as one forward pass?"
    if abs(answer / found - 1) <= 0.3:
        return f"right: {found:.0f} of them cost what the forward pass costs."
    return f"not quite: {answer:g} are too {'many' if answer > found else 'few'}."


def check_most(answer: str | None, values: Mapping[str, float], what: str) -> str:
    """Check a prediction of which of several things has the most of something; see :func:`check_least`."""
    question = f"where is the {what} largest? Answer with one of {', '.join(map(repr, values))}."
    return _check_winner(answer, values, max, question, f"the {what} is largest with")


def _check_winner(
    answer: str | None, values: Mapping[str, float], winner: Callable[..., str], question: str, claim: str
) -> str:
    """Compare an answer with the name that ``winner`` takes; the question is asked where it is no name at all."""
    if not values or any(value != value for value in values.values()):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if answer not in values:
        return f"open: {question}"
    found = winner(values, key=values.__getitem__)
    verdict = "right" if answer == found else f"not quite, you said {answer}"
    listed = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    return f"{verdict}: {claim} {found} ({listed})."


def check_heads(answer: Mapping[str, tuple[int, int]] | None, energies: Tensor) -> str:
    """Check a choice of one attention head for each edge: it is to point at its edge more often than one map can.

    Args:
        answer: (decoder layer, head), counted from 0, for each of ``x1``, ``y1``, ``x2``, ``y2``.
        energies: ``Tensor[N, L, heads, 4]``, each head's energy near each edge of each detection.
    """
    if not energies.numel():
        return "open: there is no attention to choose from; take a DETR and a score threshold that it reaches."
    layers, heads = energies.shape[1:3]
    if answer is None:
        return f"open: for each edge give (layer, head), layers 0 to {layers - 1} and heads 0 to {heads - 1}."
    if set(answer) != set(EDGES):
        return f"not quite: give a head for each of {', '.join(EDGES)}."
    if any(layer not in range(layers) or head not in range(heads) for layer, head in answer.values()):
        return f"not quite: there are layers 0 to {layers - 1} with heads 0 to {heads - 1}."
    shares = {}
    for number, edge in enumerate(EDGES):
        layer, head = answer[edge]
        chosen = energies[:, layer, head]
        shares[edge] = float((chosen[:, number] > chosen[:, (number + 2) % 4]).float().mean())
    mean, listed = sum(shares.values()) / 4, ", ".join(f"{edge} {share:.2f}" for edge, share in shares.items())
    verdict = "right" if mean > 0.5 else "not quite"
    return (
        f"{verdict}: these heads point at their own edge in {mean:.2f} of the cases ({listed}); one map reaches 0.50."
    )


def check_culprit(answer: str | None, mends: Mapping[str, bool]) -> str:
    """Check which thing misled a detector, by what its removal does: it is to blame if the mistake is gone without it.

    Args:
        answer: one of the names.
        mends: for each thing in the scene, whether the mistake is gone without it.
    """
    if not mends:
        return "open: there is no mistake to look at; take more scenes or another SEED."
    if answer not in mends:
        return f"open: what misled it? Answer with one of {', '.join(map(repr, mends))}."
    guilty = [name for name, gone in mends.items() if gone]
    if mends[answer]:
        others = [name for name in guilty if name != answer]
        return f"right: without {answer} the mistake is gone" + (
            f"; so it is without {', '.join(others)}." if others else ", and without no other thing."
        )
    if not guilty:
        return f"not quite: without {answer} the mistake stays, and so it does without any other single thing."
    return f"not quite: without {answer} the mistake stays; it goes without {', '.join(guilty)}."


def check_cover(
    answer: Sequence[int] | None,
    scores: Callable[[Sequence[int]], Sequence[float]],
    names: Sequence[str],
    before: Sequence[float],
) -> str:
    """Check which ninths of a box to cover so that a detector says what is true instead of what it said.

    Args:
        answer: numbers of the ninths, 0 to 8.
        scores: of the class that was said and of the true one, once these ninths are covered.
        names: of both classes; empty where there is no such mistake.
        before: both scores with nothing covered.
    """
    if not names:
        return "open: no class was confused in these pictures; take another PHOTO_DETECTOR or PHOTO_THRESHOLD."
    if not answer or any(number not in range(9) for number in answer):
        return (
            f"open: what would you cover so that the {names[0]} becomes a {names[1]}? Answer with numbers from 0 to 8."
        )
    (said, true), start = scores(answer), tuple(before)
    told = f"{names[0]} {start[0]:.2f} to {said:.2f}, {names[1]} {start[1]:.2f} to {true:.2f}"
    if true > said and true >= start[1] + CLEAR:
        return f"right: the {names[1]} wins, and gains by it ({told})."
    if len(set(answer)) > 5:
        return f"not quite: with {len(set(answer))} of 9 parts hidden hardly anything is left to name ({told})."
    if true > said:
        return f"not quite: the {names[1]} is ahead only since the {names[0]} fell; it gained nothing itself ({told})."
    if said > start[0] - CLEAR:
        return f"not quite: the {names[0]} hardly needs what you covered ({told})."
    if true < start[1] + CLEAR:
        return f"not quite: both names need what you covered, none gains ({told})."
    return f"not quite: the {names[1]} gains but does not win ({told}); what else speaks for the {names[0]}?"


def check_share(answer: float | None, share: float, interval: tuple[float, float], what: str) -> str:
    """Check a guess of a share; inside the interval of what was measured, or within 0.1 of it, it is right.

    Args:
        answer: in [0, 1].
        share: what was measured.
        interval: its 95 % interval.
        what: what it is a share of, for the sentence.
    """
    if math.isnan(share):
        return "open: nothing was measured; take more scenes or a lower SCORE_THRESHOLD."
    if answer is None or not 0 <= answer <= 1:
        return f"open: what is the share of {what}? Answer with a number from 0 to 1."
    near = abs(answer - share) <= 0.1 or interval[0] <= answer <= interval[1]
    verdict = "right" if near else f"not quite, you said {answer:g}"
    return f"{verdict}: the share of {what} is {share:.2f}, 95 % interval {interval[0]:.2f} to {interval[1]:.2f}."


def check_cheat(
    function: Callable[[Tensor, tuple[int, int]], Tensor] | None, boxes: Tensor, size: tuple[int, int], reference: float
) -> str:
    """Check that maps made from the boxes alone have more energy inside the boxes than an explanation has.

    Args:
        function: from boxes ``Tensor[N, 4]`` and (height, width) to maps ``Tensor[N, height, width]``.
        boxes: (x1, y1, x2, y2) in pixels.
        size: of the picture.
        reference: the share to beat.
    """
    if function is None or not len(boxes):
        return f"open: write a function that beats {reference:.2f}."
    maps = function(boxes, size)
    if not isinstance(maps, Tensor) or maps.shape != (len(boxes), *size):
        return f"not quite: return a tensor of shape {[len(boxes), *size]}."
    if not torch.isfinite(maps).all() or (maps < 0).any():
        return "not quite: a map with negative values or NaN has no share of energy."
    share = float(energy_inside(maps.float(), box_regions(boxes, size)).mean())
    if share <= reference:
        return f"not quite: {share:.2f} of the energy is in the boxes, the explanation has {reference:.2f}."
    return f"right: {share:.2f} against {reference:.2f}, without asking the detector anything."


def check_odam_loss(function: Callable[[Tensor, Tensor, int], Tensor] | None, seed: int = 0) -> str:
    """Check Odam-Train's loss of one best map: the mean over its pairs, cosines not bounded.

    Args:
        function: (maps ``[N, h, w]``, the object ``[N]`` of each, the row of the best map) -> the loss, a scalar.
        seed: of the maps that it is tried on.
    """
    if function is None:
        return "open: write a function (maps [N, h, w], objects [N], best) -> the mean loss over the pairs."
    generator = torch.Generator().manual_seed(seed)
    maps, objects = torch.rand(5, 4, 4, generator=generator) + 0.05, torch.tensor([0, 0, 0, 1, 2])
    unit = maps.flatten(1) / maps.flatten(1).norm(dim=1, keepdim=True)
    cosines = unit @ unit[1]
    total = float(-torch.log(cosines[[0, 2]]).sum() - torch.log(1 - cosines[3:]).sum())
    found = torch.as_tensor(function(maps.clone(), objects.clone(), 1)).float()
    if found.numel() != 1:
        return f"not quite: a loss is one number, this is a tensor of shape {list(found.shape)}."
    if math.isclose(found.item(), total / 4, rel_tol=1e-3):
        return "right: the same maps of one person would cost nothing, those of two people without end."
    if math.isclose(found.item(), total / 5, rel_tol=1e-3):
        return "not quite: the best map with itself is no pair; four pairs remain, not five."
    brighter = torch.as_tensor(function(maps * 2, objects.clone(), 1)).float()
    if not math.isclose(found.item(), brighter.item(), rel_tol=1e-3):
        return "not quite: maps twice as bright have another loss; divide each map by its length first."
    return f"not quite: {found.item():.3f} for the maps that were tried, {total / 4:.3f} is right."


def check_pairs(answers: Sequence[bool | None], truth: Sequence[bool], rules: Mapping[str, Sequence[bool]]) -> str:
    """Check which pairs of boxes someone takes for one person, beside what rules say.

    Args:
        answers: ``True`` for one person, ``False`` for two, ``None`` where it was left open.
        truth: the right answers.
        rules: the answers of rules, by their names.
    """
    if len(answers) != len(truth) or any(answer is None for answer in answers):
        return f"open: answer with {len(truth)} values, True for one person, False for two."
    wrong = [str(place) for place, pair in enumerate(zip(answers, truth)) if bool(pair[0]) != pair[1]]
    verdict = f"not quite: wrong about pair {', '.join(wrong)}" if wrong else "right: all of them"
    rivals = (f"{name} {sum(map(operator.eq, given, truth))}" for name, given in rules.items())
    return f"{verdict}. Right of {len(truth)}: you {len(truth) - len(wrong)}, {', '.join(rivals)}."


def check_duplicate(function: Callable[[float, float, float, float, float], bool] | None) -> str:
    """Check the rule by which Algorithm 1 calls a candidate a duplicate of a better one.

    Args:
        function: (IoU, correlation, T_iou, T_l, T_h) -> whether it is one.
    """
    if function is None:
        return "open: write a function (iou, corr, t_iou, t_l, t_h) -> True for a duplicate."
    tried = itertools.product((0.0, 0.3, 0.7, 1.0), (0.05, 0.3, 0.5, 0.7, 0.95), ((0.5, 0.2, 0.8), (0.4, 0.6, 0.6)))
    for iou, corr, thresholds in tried:
        least = thresholds[1] if iou > thresholds[0] else thresholds[2]
        if bool(function(iou, corr, *thresholds)) != (corr > least):
            verdict = "a duplicate" if corr > least else "another object"
            return f"not quite: IoU {iou:g} and correlation {corr:g} with {thresholds} is {verdict}."
    return "right: boxes that overlap need little agreement to be one object, boxes that lie apart need much."
