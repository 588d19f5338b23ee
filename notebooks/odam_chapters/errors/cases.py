"""From a mistake to what is shown of it: the maps that speak of it, and how much of them lies on a distractor."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.errors.compared import (
    BAD_BOX,
    PLANTED,
    SORTS,
    WRONG_NAME,
    find_mended,
    find_worst_and_best_edge,
    sort_mistakes,
)
from odam_chapters.errors.plots import Case
from odam_chapters.errors.survey import Judged, Verdicts, judge, speak_of
from odam_lib.datasets.scenes import Scenes, render
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import EDGES
from odam_lib.metrics.errors import VERDICTS, Errors
from odam_lib.metrics.localization import energy_inside
from odam_lib.viz.drawing import TITLES

Place = tuple[int, int]
"""Number of a scene, and row of a detection among the picture's."""


def list_places(judged: Sequence[Verdicts], sorts: Sequence[Sequence[str]]) -> dict[str, list[Place]]:
    """Where each sort of mistake is, the most certain first, at most one of each sort in a scene.

    Args:
        judged: the detections and verdicts of each scene, from :func:`~odam_chapters.errors.survey.judge`.
        sorts: of the detections of each, from :func:`~odam_chapters.errors.compared.sort_mistakes`.
    """
    spots: dict[str, list[tuple[float, Place]]] = {sort: [] for sort in SORTS}
    for item, ((found, _), names) in enumerate(zip(judged, sorts)):
        for sort in set(names) & set(SORTS):  # rows are in the order of their scores
            spots[sort].append((float(found.scores[names.index(sort)]), (item, names.index(sort))))
    return {sort: [place for _, place in sorted(them, reverse=True)] for sort, them in spots.items()}


def describe(found: Detections, errors: Errors, row: int, target: Mapping[str, Tensor]) -> str:
    """One mistake in words: what went wrong, what was said, with which score, and for a wrong name the true one."""
    sort, chosen = sort_mistakes(found, errors, target)[row], int(errors.objects[row])
    verdict = PLANTED if sort == PLANTED else VERDICTS[errors.verdicts[row]]
    said = f"{verdict}:\n{found.names()[row]} {found.scores[row]:.2f}"
    if sort == WRONG_NAME:
        true = int(target["labels"][chosen])
        named = found.categories[true] if true < len(found.categories) else "thing that the detector does not know"
        said += f", it is a {named}"
    return said


def make_case(image: Tensor, target: Mapping[str, Tensor], judged: Judged, row: int, maps: bool = True) -> Case:
    """A mistake ready to be shown.

    A bad box gets the maps of its wrong and of its best edge, a wrong name those of the same prediction's scores for
    what it said and for what is true, any other mistake its class map.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        target: its ``boxes``, ``labels`` and, where there is one, ``distractor_masks``.
        judged: as :func:`~odam_chapters.errors.survey.judge` returned them for that image.
        row: row of the detection.
        maps: whether to explain it.
    """
    _, found, errors = judged
    chosen = int(errors.objects[row])
    masks = target.get("distractor_masks")
    mask = masks[0] if masks is not None and len(masks) else None
    pairs = (
        [(_heading(words, heat, mask), edge, heat) for words, edge, heat in _maps(target, judged, row)] if maps else []
    )
    return Case(
        image=image,
        box=found.boxes[row].cpu(),
        true_box=target["boxes"][chosen] if chosen >= 0 else None,
        distractor=mask,
        caption=describe(found, errors, row, target),
        maps={heading: heat for heading, _, heat in pairs},
        edges={heading: edge for heading, edge, _ in pairs if edge},
    )


def _maps(target: Mapping[str, Tensor], judged: Judged, row: int) -> list[tuple[str, str, Tensor]]:
    """Words, the edge or an empty text, and the map ``Tensor[H, W]``."""
    trace, found, errors = judged
    one, sort, chosen = found[row], sort_mistakes(found, errors, target)[row], int(errors.objects[row])
    if sort == BAD_BOX:
        return explain_edges(trace, one, target["boxes"][chosen])
    spoken = [("said", one)]
    if sort == WRONG_NAME and int(target["labels"][chosen]) < len(one.categories):
        spoken.append(("true", speak_of(one, target["labels"][[chosen]])))
    return [
        (
            f"{how}: {other.names()[0]} {other.scores[0]:.2f}",
            "",
            ODAM()(trace, other, ("class",)).to_image()[0, 0].cpu(),
        )
        for how, other in spoken
    ]


def explain_edges(trace: Trace, detection: Detections, true_box: Tensor) -> list[tuple[str, str, Tensor]]:
    """The maps of the edge that is most wrong and of the one that is least wrong.

    Args:
        trace: the pass that found it.
        detection: one row.
        true_box: ``Tensor[4]``.

    Returns:
        For both: words, the edge's name, and its map ``Tensor[H, W]``.
    """
    names = [EDGES[int(edge)] for edge in find_worst_and_best_edge(detection.boxes.cpu(), true_box[None])]
    heats = ODAM()(trace, detection, names).to_image()[0].cpu()
    words = [f"{how}: {TITLES[name]}" for how, name in zip(("wrong", "best"), names)]
    return list(zip(words, names, heats))


def _heading(words: str, heat: Tensor, mask: Tensor | None) -> str:
    if mask is None:
        return words
    return f"{words}\n{100 * float(energy_inside(heat, mask)):.0f} % on the planted thing"


def look_without(
    detector: Detector, scenes: Scenes, place: Place, score_threshold: float
) -> tuple[Verdicts, dict[int, Verdicts]]:
    """The scene of a mistake as it is, and without each thing in turn but the object that the mistake is about.

    Args:
        detector: what made it.
        scenes: where it was made.
        place: of the mistake.
        score_threshold: with which it was made.

    Returns:
        Detections and verdicts as it is, and by the index of the thing that is away.
    """
    item, row = place
    scene = scenes.scene(item)
    _, found, errors = judge(detector, *scenes[item], score_threshold)
    chosen = int(errors.objects[row])
    about = render(scene).instances[chosen].index if chosen >= 0 else None
    away = [thing.index for thing in scene.objects if thing.index != about]
    seen = {thing: judge(detector, *scenes.item_of(scene.without(thing)), score_threshold)[1:] for thing in away}
    return (found, errors), seen


def try_removals(detector: Detector, scenes: Scenes, place: Place, score_threshold: float) -> dict[int, bool]:
    """Whether a mistake is gone without each thing, see :func:`look_without`, by the thing's index in the scene."""
    (found, errors), without = look_without(detector, scenes, place, score_threshold)
    return {thing: bool(find_mended(found, errors, *seen)[place[1]]) for thing, seen in without.items()}


def compare_removals(
    detector: Detector, scenes: Scenes, places: Sequence[Place], score_threshold: float
) -> tuple[list[bool], list[bool]]:
    """Whether some mistakes are gone without the planted thing, and, as a control, without each other thing in turn."""
    planted, others = [], []
    for place in places:
        for index, gone in try_removals(detector, scenes, place, score_threshold).items():
            (others if scenes.scene(place[0]).get(index).lures is None else planted).append(gone)
    return planted, others


def line_up(scenes: Scenes, judged: Sequence[Verdicts], place: Place) -> Case:
    """A mistake with all the things that are seen in its scene, by their index there.

    Args:
        scenes: as many as were judged.
        judged: the detections and verdicts of each.
        place: of the mistake.
    """
    item, row = place
    seen = render(scenes.scene(item))
    things = sorted((*seen.instances, *seen.distractors), key=lambda one: one.index)
    return Case(
        image=scenes[item][0],
        box=judged[item][0].boxes[row].cpu(),
        true_box=None,
        distractor=None,
        caption=f"{judged[item][0].names()[row]} {judged[item][0].scores[row]:.2f}",
        things={one.index: (one.name, torch.from_numpy(one.mask)) for one in things},
    )


def make_case_without(detector: Detector, scenes: Scenes, place: Place, score_threshold: float) -> Case:
    """The scene of a mistake without its distractor, with the right detection of the object that it was about.

    Args:
        detector: what looks at it.
        scenes: of the split ``distractors``.
        place: of the mistake.
        score_threshold: least score of a detection.
    """
    item, row = place
    chosen = int(judge(detector, *scenes[item], score_threshold)[2].objects[row])
    image, target = scenes.without_distractors(item)
    _, found, errors = judge(detector, image, target, score_threshold)
    rows = torch.nonzero((errors.verdicts == 0) & (errors.objects == chosen)).flatten().tolist() if chosen >= 0 else []
    right, wrong = int((errors.verdicts == 0).sum()), int((errors.verdicts != 0).sum())
    said = f"{found.names()[rows[0]]} {found.scores[rows[0]]:.2f}, " if rows else ""
    return Case(
        image=image,
        box=found.boxes[rows[0]].cpu() if rows else None,
        true_box=target["boxes"][chosen] if chosen >= 0 else None,
        distractor=None,
        caption=f"without it:\n{said}in all {right} right, {wrong} wrong",
    )
