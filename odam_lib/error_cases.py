"""From a mistake to what is shown of it: the maps that speak of it, and how much of them lies on a distractor."""

from collections.abc import Mapping

import torch
from torch import Tensor

from odam_lib.datasets.scenes import Scenes, render
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, Trace
from odam_lib.error_plots import Case
from odam_lib.error_survey import WRONG_CLASS, WRONG_EDGE, judge, retitled
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import EDGES
from odam_lib.metrics.errors import VERDICTS, Errors, mended, worst_and_best_edge
from odam_lib.metrics.localization import energy_inside
from odam_lib.plots import TITLES

Judged = tuple[Trace, Detections, Errors]


def caption(found: Detections, errors: Errors, row: int, target: Mapping[str, Tensor]) -> str:
    """One mistake in words: its verdict, what was said, with which score, and what is true."""
    verdict, chosen = VERDICTS[errors.verdicts[row]], int(errors.objects[row])
    said = f"{verdict}:\n{found.names()[row]} {found.scores[row]:.2f}"
    if verdict in WRONG_CLASS:
        true = int(target["labels"][chosen])
        named = found.categories[true] if true < len(found.categories) else "thing that the detector does not know"
        said += f", it is a {named}"
    return said


def mistake_case(image: Tensor, target: Mapping[str, Tensor], judged: Judged, row: int, maps: bool = True) -> Case:
    """A mistake ready to be shown.

    A mislocalised detection gets the maps of its wrong and of its best edge, one of the wrong class those of the same
    prediction's scores for what it said and for what is true, any other its class map.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        target: its ``boxes``, ``labels`` and, where there is one, ``distractor_masks``.
        judged: as :func:`~odam_lib.error_survey.judge` returned them for that image.
        row: of the detection.
        maps: whether to explain it.
    """
    _, found, errors = judged
    chosen = int(errors.objects[row])
    masks = target.get("distractor_masks")
    mask = masks[0] if masks is not None and len(masks) else None
    pairs = _maps(target, judged, row) if maps else []
    headings = [_heading(words, heat, mask) for words, _, heat in pairs]
    return Case(
        image=image,
        box=found.boxes[row].cpu(),
        true_box=target["boxes"][chosen] if chosen >= 0 else None,
        distractor=mask,
        caption=caption(found, errors, row, target),
        maps={heading: heat for heading, (_, _, heat) in zip(headings, pairs)},
        edges={heading: edge for heading, (_, edge, _) in zip(headings, pairs) if edge},
    )


def _maps(target: Mapping[str, Tensor], judged: Judged, row: int) -> list[tuple[str, str, Tensor]]:
    """Words, the edge or an empty text, and the map ``Tensor[H, W]``."""
    trace, found, errors = judged
    one, verdict, chosen = found[row], VERDICTS[errors.verdicts[row]], int(errors.objects[row])
    if verdict in WRONG_EDGE:
        edges = [int(e) for e in worst_and_best_edge(one.boxes.cpu(), target["boxes"][[chosen]])]
        names = [EDGES[edge] for edge in edges]
        heats = ODAM()(trace, one, names).to_image()[0].cpu()
        words = [f"{how}: {TITLES[name]}" for how, name in zip(("wrong", "best"), names)]
        return list(zip(words, names, heats))
    spoken = [("said", one)]
    if verdict in WRONG_CLASS and int(target["labels"][chosen]) < len(one.categories):
        spoken.append(("true", retitled(one, target["labels"][[chosen]])))
    return [
        (
            f"{how}: {other.names()[0]} {other.scores[0]:.2f}",
            "",
            ODAM()(trace, other, ("class",)).to_image()[0, 0].cpu(),
        )
        for how, other in spoken
    ]


def _heading(words: str, heat: Tensor, mask: Tensor | None) -> str:
    if mask is None:
        return words
    return f"{words}\n{100 * float(energy_inside(heat, mask)):.0f} % on the distractor"


def mends(detector: Detector, scenes: Scenes, item: int, row: int, score_threshold: float) -> dict[str, bool]:
    """Which thing's removal mends a mistake: each is taken away in turn but the object that the mistake is about.

    Args:
        detector: what made it.
        scenes: its data set.
        item, row: number of the scene, and of the detection among the picture's.
        score_threshold: with which it was made.

    Returns:
        For each thing, as ``"3 caravan"``: its index in the scene and its name.
    """
    scene = scenes.scene(item)
    image, target = scenes.item_of(scene)
    _, found, errors = judge(detector, image, target, score_threshold)
    visible = render(scene).instances
    chosen = int(errors.objects[row])
    about = visible[chosen].index if chosen >= 0 else None
    outcome = {}
    for thing in scene.objects:
        if thing.index != about:
            _, others, their_errors = judge(detector, *scenes.item_of(scene.without(thing.index)), score_threshold)
            outcome[f"{thing.index} {thing.name}"] = bool(mended(found, errors, others, their_errors)[row])
    return outcome


def case_without(detector: Detector, scenes: Scenes, item: int, chosen: int, score_threshold: float) -> Case:
    """A scene without its distractor, with the right detection of one object if there is one.

    Args:
        detector: what looks at it.
        scenes: of the split ``distractors``.
        item: number of the scene.
        chosen: row of the object in the scene's target; -1 for none.
        score_threshold: least score of a detection.
    """
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
