"""Checks for the exercises of notebook 09, like those of :mod:`odam_chapters.exercises`."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from odam_chapters.errors.survey import judge
from odam_chapters.exercises import as_number, call, reply
from odam_chapters.own.toy import BlobDetector, BlobNet, BlobTrace, Formula, draw_blobs, measure_distances
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, EDGES
from odam_lib.metrics.errors import MISSED
from odam_lib.viz.drawing import TITLES

MIDDLE = 6, 6
"""The cell, (row, column), of the red blob's prediction."""
FORMULA = "write a function (trace, attribute, detections) that returns one number for each detection."
SILENCE = "at which least score is nothing wrong any more? Answer with a number from 0 to 1."


@reply
def check_formula(formula: Formula | None) -> str:
    """Check a function (trace, attribute, detections) that returns the numbers to explain of the toy detector.

    It is tried on the two blobs; a usual mistake is told by what it does to the maps.
    """
    if not callable(formula):
        return f"open: {FORMULA}"
    trace = BlobDetector(BlobNet(), formula).trace(draw_blobs())
    found = trace.detections(0.5)
    numbers = {}
    for attribute in ("logit", *ATTRIBUTES):
        try:
            number = formula(trace, attribute, found)
        except Exception as error:
            return f"not quite: asked for {attribute!r} it stops with {type(error).__name__}: {error}"
        if not isinstance(number, Tensor) or number.shape != (len(found),):
            return f"not quite: asked for {attribute!r} it returns no tensor of shape [{len(found)}]: one for each."
        if number.grad_fn is None:
            return f"not quite: {attribute!r} has no gradient; take it from trace.corners and trace.logits, undetached."
        numbers[attribute] = number
    right = {name: measure_distances(trace, name, found) for name in numbers}
    wrong = [name for name in numbers if not torch.allclose(numbers[name], right[name], atol=1e-3)]
    if wrong:
        return f"not quite: {_reason(wrong[0], numbers[wrong[0]], trace, found)}"
    other = replace(found, labels=3 - found.labels)
    if not torch.allclose(
        call(formula, trace, "logit", other, wanted=FORMULA), measure_distances(trace, "logit", other)
    ):
        return (
            "not quite: 'logit' is that of the largest class, whatever the detections' labels say. It is tempting, "
            "since the detector labels by the largest; but 'why not blue?' asks of another label, as section 6 does. "
            "Take the logit of detections.labels."
        )
    return _refusals(formula, trace, found)


def _reason(attribute: str, number: Tensor, trace: BlobTrace, found: Detections) -> str:
    """Why a number is not the one to explain."""
    right = measure_distances(trace, attribute, found)
    if attribute not in EDGES:
        return (
            f"{attribute!r} is {_listed(number)}, it should be {_listed(right)}: the score ('class') is the sigmoid of "
            "the logit, both of the detection's own label."
        )
    name = TITLES[attribute]
    if torch.allclose(number, trace.corners[found.index, EDGES.index(attribute)]):
        return (
            f"{attribute!r} is the coordinate of the {name}, not a distance. That of a left or top edge falls when the "
            "box grows, so its gradient is negative, and its map, after the rectifier, is zero here."
        )
    if torch.allclose(number, -right, atol=1e-3):
        return f"{attribute!r} is the distance with the wrong sign: a larger number has to be a {name} further out."
    return (
        f"{attribute!r} is {_listed(number)}, it should be {_listed(right)}: the pixels from the cell's centre to the "
        f"{name}, at the places found.index."
    )


def _refusals(formula: Formula, trace: BlobTrace, found: Detections) -> str:
    """The sentence on a function whose numbers are right: does it refuse what it has no number for?"""
    other = BlobDetector(BlobNet()).trace(draw_blobs().flip(-1)).detections(0.5)
    for attribute, rows, what in (
        ("class", other, "detections of another picture"),
        ("width", found, "the attribute 'width'"),
    ):
        try:
            formula(trace, attribute, rows)
        except ValueError:
            continue
        return (
            f"not quite: all numbers are right, but {what} should be refused, and it answers. Begin with "
            "trace.check(detections, [attribute])."
        )
    return "right: the numbers grow with the score and with the box, and what does not fit is refused."


@reply
def check_cells(cells: Sequence[tuple[int, int]] | None) -> str:
    """Check at which cells the map of the red blob's left edge is not zero, without smoothing.

    Args:
        cells: (row, column) of each.
    """
    if cells is None:
        return "open: list the cells, each as (row, column)."
    detector, image = BlobDetector(BlobNet()), draw_blobs()
    heat = explain(detector, image, attributes=("x1",), method=ODAM(smoothing=None)).maps[0][0]
    right = {(row, column) for row, column in heat.nonzero().tolist()}
    try:
        yours = {(int(row), int(column)) for row, column in cells}
    except (TypeError, ValueError):
        return "open: list the cells, each as (row, column), even if it is one only."
    if yours == right:
        return f"right: {sorted(right)}, each worth {heat.max():.0f} pixels, and no other cell has a say."
    (row, column) = MIDDLE
    if yours == {(column, row) for row, column in right}:
        return "not quite: these are (column, row); the row comes first."
    if yours == right | {MIDDLE}:
        return "not quite: the middle cell is where distances begin; it counts its neighbours and not itself."
    if yours == {(row, 2 * column - one) for _, one in right}:
        return "not quite: those move the right edge; the left edge's distance counts the cells to the left."
    if {one for _, one in yours} == {one for _, one in right}:
        return "not quite: the columns are right, but the head counts along one row; the others have weight 0."
    return f"not quite: the distance is 8 times the number of coloured cells from {MIDDLE} to the left, in its row."


@reply
def check_silence(
    threshold: float | None, detector: Detector, dataset: Sequence[tuple[Tensor, dict]], items: Sequence[int]
) -> str:
    """Check a score threshold above which nothing that a detector says is wrong, and something still right.

    Args:
        threshold: in [0, 1].
        detector: what speaks.
        dataset: pictures and targets, labels as the detector's.
        items: which of them.
    """
    if threshold is None:
        return f"open: {SILENCE}"
    threshold = as_number(threshold, SILENCE)
    if not 0 <= threshold <= 1:
        return f"open: {SILENCE}"
    verdicts = [judge(detector, *dataset[item], threshold)[2] for item in items]
    right, missed = (sum(one.counts()[name] for one in verdicts) for name in ("correct", MISSED))
    wrong = sum(len(one) for one in verdicts) - right
    if wrong:
        return f"not quite: at {threshold:g} it is right {_times(right)} and still wrong {_times(wrong)}."
    if not right:
        return f"not quite: at {threshold:g} it says nothing at all ({missed} objects missed); silence is never wrong."
    return (
        f"right: at {threshold:g} all {right} detections are right. The price: {missed} of {right + missed} are missed."
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _listed(numbers: Tensor) -> str:
    return ", ".join(f"{number:.1f}" for number in numbers.tolist())
