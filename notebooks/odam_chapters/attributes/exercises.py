"""Checks for the exercises of notebook 01: each says why an answer is wrong, and why it was tempting."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.attributes.measures import read_without
from odam_chapters.exercises import as_number, call, reply
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import EDGES, HeatMaps
from odam_lib.kernels.odam import combine

TOTAL = "write a function of g and A, both [1, K, h, w], that returns one number."
CHANGE = "predict the change of the logit, a number."
COMBINED = "write a function of a tensor [attributes, h, w] that returns the combined map [h, w]."


@reply
def check_map(answer: Tensor | None, trace: Trace, one: Detections) -> str:
    """Check a class map without smoothing that a learner made, ``Tensor[h, w]``, against the library's."""
    if not isinstance(answer, Tensor):
        return "open: make the map [h, w] from g and A."
    gradient, features = _gradient(trace, one, "class"), _features(trace, one)
    product, shape = gradient * features, tuple(features.shape[-2:])
    if answer.squeeze().shape == product[0].shape:
        return f"not quite: it still has {features.shape[1]} channels; sum over them, dimension 1 of g * A."
    if answer.squeeze().shape != shape:
        return f"not quite: a map has one number for each cell, so its shape is {shape}."
    mine = answer.detach().squeeze()
    wrong = {
        "this is the sum before the rectifier. Its negative cells speak against the class: ReLU leaves what speaks for "
        "it": product.sum(1),
        "each channel was rectified by itself. That is tempting, since each then looks like evidence, but channels of "
        "one cell argue with each other and only their sum counts": product.relu().sum(1),
        "this is the gradient alone: how much a cell could matter. Times A it becomes how much it does": gradient.sum(
            1
        ).relu(),
        "the gradient was rectified first. What lowers the class must be able to cancel, in the same cell, what raises "
        "it": (gradient.relu() * features).sum(1),
        "the gradient lost its sign, so what speaks against the class counts as if it spoke for it": (
            gradient.abs() * features
        ).sum(1),
        "this is the sum of the activations: it shows what is bright, whatever was asked": features.sum(1).relu(),
        "the gradient was averaged over the cells first: that is Grad-CAM, the next section": _pooled(
            gradient, features
        )[None],
    }
    recipe = "g * A, summed over channels, then ReLU"
    library = ODAM(smoothing=None)(trace, one, ("class",)).maps[0][0]
    return _compare(mine, library, wrong, "explain(...) without Phi", recipe)


@reply
def check_grad_cam(answer: Tensor | None, trace: Trace, one: Detections) -> str:
    """Check a map of Grad-CAM that a learner made, ``Tensor[h, w]``."""
    if not isinstance(answer, Tensor):
        return "open: make Grad-CAM's map [h, w] from g and A."
    gradient, features = _gradient(trace, one, "class"), _features(trace, one)
    shape = tuple(features.shape[-2:])
    if answer.squeeze().shape != shape:
        return f"not quite: a map has one number for each cell, so its shape is {shape}."
    wrong = {
        "nothing is averaged yet: this is ODAM's map": (gradient * features).sum(1).relu(),
        "this was averaged over channels; average over the cells, dimensions 2 and 3, so that each channel has one "
        "weight": (gradient.mean(1, keepdim=True) * features).sum(1).relu(),
        "the activations were averaged; average the gradient, and the places of A remain": (
            gradient * features.mean((2, 3), keepdim=True)
        )
        .sum(1)
        .relu(),
        "the rectifier is missing": (gradient.mean((2, 3), keepdim=True) * features).sum(1),
        "this is one weight for all channels; average over the cells only, dimensions 2 and 3": (
            gradient.mean() * features
        )
        .sum(1)
        .relu(),
    }
    recipe = "one weight for each channel, times A, summed over channels, then ReLU"
    return _compare(answer.detach().squeeze(), _pooled(gradient, features), wrong, "Grad-CAM", recipe)


@reply
def check_total(
    function: Callable[[Tensor, Tensor], Tensor] | None, detectors: Mapping[str, Detector], image: Tensor
) -> str:
    """Check a function that returns what a map sums to before the rectifier, on the surest object of each detector."""
    if function is None:
        return f"open: {TOTAL}"
    if isinstance(function, Tensor):
        return "not quite: that is the sum for one detector; write lambda g, A: ..., the check calls it with two."
    lines = []
    for name, detector in detectors.items():
        trace = detector.trace(image)
        one = trace.candidates[trace.candidates.scores.argmax().reshape(1)]
        gradient, features = _gradient(trace, one, "logit"), _features(trace, one)
        product = gradient * features
        made, total = call(function, gradient, features, wanted=TOTAL), float(product.sum())
        if isinstance(made, Tensor) and made.numel() != 1:
            return f"not quite: this returns {made.numel()} numbers; sum over all channels and all cells."
        mine = as_number(made, "the function is to return one.")
        if _near(mine, float(product.sum(1).relu().sum()), product):
            return "not quite: this sums what ReLU left, where nothing can cancel; sum before it."
        if _near(mine, float(product.abs().sum()), product):
            return "not quite: sizes cannot cancel; keep the signs."
        if not _near(mine, total, product):
            return f"not quite: {name} gives {mine:.2f}; the sum of g * A over all channels and cells is {total:.2f}."
        lines.append(f"{name} {mine:+.2f}")
    return f"right: {', '.join(lines)}. Why does the second vanish?"


@reply
def check_change(answer: float | None, trace: Trace, one: Detections, cells: Sequence[Sequence[int]]) -> str:
    """Check a prediction of how the logit changes when some cells are set to zero, and measure it."""
    if answer is None:
        return f"open: {CHANGE}"
    mine = as_number(answer, CHANGE)
    before = float(trace.targets("logit", one)[0].detach())
    gradient, features = _gradient(trace, one, "logit"), _features(trace, one)
    influence = (gradient * features).sum(1)[0]
    predicted = -sum(float(influence[row, column]) for row, column in cells)
    measured = read_without(trace, one, "logit", cells) - before
    said = f"predicted {predicted:+.2f}, measured {measured:+.2f}"
    if abs(mine - predicted) < 0.02 * abs(predicted):
        return f"right: {said}. The rest is what a first order cannot see: ReLUs that open or close on the way."
    if abs(mine + predicted) < 0.02 * abs(predicted):
        return "not quite: the sign. These cells spoke for the class, so without them the logit falls."
    if abs(mine - measured) < 0.02 * abs(measured):
        return f"not quite: that is the measured change; predict it from the map alone ({said})."
    return f"not quite: {said}. To first order a cell takes away its own value of the map, and cells add up."


@reply
def check_zero(answer: tuple[int, str] | None, trace: Trace, found: Detections) -> str:
    """Check that the shrinking map of an edge is zero everywhere, and measure whether it is right to be.

    Args:
        answer: row of the detection, and its edge.
        trace: a pass.
        found: detections of it.
    """
    if answer is None:
        return "open: give (row, edge) of a shrinking map that is zero everywhere."
    if answer not in [(row, edge) for row in range(len(found)) for edge in EDGES]:
        return f"open: give a row from 0 to {len(found) - 1} and one of {', '.join(EDGES)}, as (0, 'x1')."
    row, edge = answer
    maps = ODAM(smoothing=None, gradient="negative")(trace, found[row], (edge,))
    if not maps.zero()[0, 0]:
        largest = float(maps.maps[0].max())
        return f"not quite: somewhere this map says that a cell pulls the edge in, by {largest:.2g} pixels."
    one, before = found[row], float(trace.targets(edge, found[row])[0].detach())
    cells = (_gradient(trace, one, edge) * _features(trace, one)).sum(1)[0].nonzero().tolist()
    moves = [read_without(trace, one, edge, [cell]) - before for cell in cells]
    inwards, outwards = sum(move < 0 for move in moves), max([0.0, *moves])
    return (
        f"right: every cell pushes this edge outwards. Measured: of {len(cells)} cells taken away one by one, "
        f"{inwards} let it move in, none moves it out by more than {outwards:.1f} pixels. There is nothing to show."
    )


@reply
def check_combined(function: Callable[[Tensor], Tensor] | None, heat_maps: HeatMaps) -> str:
    """Check a function that makes the combined map ``Tensor[h, w]`` of raw maps ``Tensor[attributes, h, w]``."""
    if function is None or not len(heat_maps):
        return f"open: {COMBINED}"
    raw = heat_maps.maps[0]
    made = call(function, raw.clone(), wanted=COMBINED)
    if not isinstance(made, Tensor) or made.shape != raw.shape[1:]:
        return f"not quite: return a tensor of shape {tuple(raw.shape[1:])}, one map."
    if torch.allclose(made, raw.amax(dim=0)):
        return "not quite: without normalising, whatever has the largest unit wins; scale each map to [0, 1] first."
    if torch.allclose(made, raw.amax(dim=0) / raw.amax().clamp(min=1e-30)):
        return "not quite: the maps are scaled together; scale each one by itself."
    with_zeros = torch.cat([torch.zeros_like(raw[:1]), raw])
    if not torch.isfinite(call(function, with_zeros, wanted=COMBINED)).all():
        return "not quite: a map of zeros divides by zero; it should stay zero."
    if torch.allclose(made, combine(raw), atol=1e-4):
        return "right: the same as HeatMaps.combined(), which also takes the maximum after scaling each map to [0, 1]."
    return "not quite: take each map's minimum away, divide by its new maximum, then take the maximum over the maps."


def _compare(mine: Tensor, right: Tensor, wrong: dict[str, Tensor], what: str, recipe: str) -> str:
    """Which of some maps, up to a positive factor, an answer is; the recipe is told where it is none of them."""
    if not (mine < 0).any() and torch.allclose(mine, right, rtol=1e-3, atol=1e-3 * float(right.max())):
        return f"right: the same as {what}."
    if not (mine < 0).any() and _parallel(mine, right):
        factor = float(mine.sum() / right.sum())
        return f"right, up to a factor of {factor:.{2 if factor < 100 else 4}g}: the same places as {what}."
    reasons = [reason for reason, other in wrong.items() if _parallel(mine, other[0])]
    return f"not quite: {reasons[0] if reasons else recipe}."


def _parallel(one: Tensor, other: Tensor) -> bool:
    return float(torch.cosine_similarity(one.flatten(), other.flatten().to(one), dim=0)) > 0.9999


def _near(one: float, other: float, product: Tensor) -> bool:
    return abs(one - other) <= 1e-3 * float(product.sum(1).abs().sum())


def _pooled(gradient: Tensor, features: Tensor) -> Tensor:
    return (gradient.mean((2, 3), keepdim=True) * features).sum(1).relu()[0]


def _features(trace: Trace, one: Detections) -> Tensor:
    return trace.features[int(trace.feature_level(one)[0])].detach()


def _gradient(trace: Trace, one: Detections, attribute: str) -> Tensor:
    features = trace.features[int(trace.feature_level(one)[0])]
    return torch.autograd.grad(trace.targets(attribute, one)[0], features, retain_graph=True)[0]
