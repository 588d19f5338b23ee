"""Rules of suppression, what they leave of a detector's candidates in crowds, and how Odam-NMS got its thresholds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from odam_chapters.crowds.embeddings import EMBEDDED, load_embedder
from odam_lib.categories import PEOPLE
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trained import is_path, read_run
from odam_lib.explainers.raster import raster_maps
from odam_lib.explainers.suppression import Rule, by_boxes, by_embeddings, by_maps, find_candidates
from odam_lib.kernels.nms import Kept, linear, nms, odam_nms, soft_nms
from odam_lib.metrics.crowd_scores import jaccard, miss_rate
from odam_lib.metrics.crowds import CrowdMatches, CrowdPicture, match_crowds

DETECTORS = ("fcos-crowd", "fcos-crowd-odam", "faster-rcnn-crowd", "faster-rcnn-crowd-odam")
"""Trained on the same crowds without and with Odam-Train."""
CLASSICAL, FEATURE_NMS, ODAM_NMS = "NMS", "FeatureNMS", "Odam-NMS"
PAPERS_THRESHOLDS = (0.2, 0.8)
PAPERS_ODAM_NMS = "Odam-NMS, 0.2, 0.8"
"""Odam-NMS with the (T_l, T_h) that the paper has for every detector (App. A.4.1)."""
SOFT = {"Soft-NMS": soft_nms, "Soft-NMS, linear": partial(soft_nms, decay=linear)}

SCORE_THRESHOLD = 0.3
"""Candidates have to score more before any rule sees them."""
RASTER = 32
"""Lines and columns on which maps are compared: as many as the finest level has cells, and as Odam-Train uses."""
CHOSEN_ON = (60, 1)
"""Number and seed of the held-out crowds on which thresholds were chosen: others than those of the results."""
GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8), (0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""T_l and T_h that were tried, together (0, 1), which is NMS."""
THRESHOLDS = {
    "fcos-crowd": (0.6, 0.95),
    "fcos-crowd-odam": (0.3, 0.6),
    "faster-rcnn-crowd": (0.0, 0.8),
    "faster-rcnn-crowd-odam": (0.1, 0.6),
}
"""(T_l, T_h) of Odam-NMS for each detector, what :func:`choose_thresholds` took of ``GRID`` on ``CHOSEN_ON``.

``data/evaluation/README.md`` says what was measured with these, with other thresholds and with another raster.
"""


def make_rules(detector: str) -> dict[str, Rule]:
    """Every rule for a detector, by name: FeatureNMS for those that have embeddings, and Odam-NMS with the thresholds
    that were chosen for one of ``DETECTORS``, with the paper's for others.

    Raises:
        FileNotFoundError, ValueError: the embeddings cannot be had, see :func:`load_embedder`.
    """
    by_boxes_alone = {name: by_boxes(rule) for name, rule in {CLASSICAL: nms, **SOFT}.items()}
    embedded = {FEATURE_NMS: by_embeddings(load_embedder(detector))} if detector in EMBEDDED else {}
    by_explanations = {ODAM_NMS: THRESHOLDS.get(detector, PAPERS_THRESHOLDS), PAPERS_ODAM_NMS: PAPERS_THRESHOLDS}
    made = {name: by_maps(*each, short_edge=RASTER) for name, each in by_explanations.items()}
    return by_boxes_alone | embedded | made


def name_detectors(places: Sequence[str]) -> dict[str, str]:
    """What to load each of some detectors by, by the name it will have.

    Args:
        places: names of ``DETECTORS``, or folders of trainings.

    Raises:
        FileNotFoundError: see :func:`~odam_lib.detectors.trained.read_run`.
        ValueError: likewise; or one is unknown, finds more than people, or two are called the same.
    """
    found: dict[str, str] = {}
    for place in places:
        if place not in DETECTORS and not is_path(place):
            raise ValueError(
                f"Unknown detector {place!r}: choose among {', '.join(DETECTORS)}, or give the folder of a training."
            )
        name = place if place in DETECTORS else _name_of_people(place)
        if found.setdefault(name, place) != place:
            raise ValueError(f"{found[name]} and {place} are both called {name}: rename the folder of one.")
    return found


def _name_of_people(place: str) -> str:
    run = read_run(place)
    if run.categories != PEOPLE:
        known = ", ".join(run.categories[1:4])
        raise ValueError(
            f"{place} finds {known} ..., and crowds are of people: give a detector whose only class is person."
        )
    return run.name


def make_picture(found: Detections, kept: Kept, target: Mapping[str, Tensor]) -> CrowdPicture:
    """What a rule kept of some candidates, with the people who are there; a data set may name ``ignored`` regions."""
    truth = target["boxes"]
    ignored = target.get("ignored", truth.new_zeros((0, 4)))
    return CrowdPicture(found.boxes[kept.index].cpu(), kept.scores.cpu(), truth, ignored)


@torch.no_grad()
def keep(
    detector: Detector,
    pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]],
    used: Mapping[str, Rule],
    score_threshold: float = SCORE_THRESHOLD,
) -> Iterator[tuple[Detections, dict[str, Kept], Mapping[str, Tensor]]]:
    """Run a detector once on each picture and every rule on what it found.

    Args:
        detector: what finds people.
        pictures: items ``(image [3, H, W], target)`` with ``boxes`` ``[G, 4]`` of the people.
        used: rules by name.
        score_threshold: least score of the candidates.

    Yields:
        Of each picture the candidates, what each rule keeps of them, and the target.
    """
    for image, target in pictures:
        trace = detector.trace(image)
        found = find_candidates(trace, score_threshold)
        yield found, {name: rule(trace, found) for name, rule in used.items()}, target


def apply_rules(
    detector: Detector,
    pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]],
    used: Mapping[str, Rule],
    score_threshold: float = SCORE_THRESHOLD,
) -> dict[str, list[CrowdPicture]]:
    """What :func:`keep` gives, for each rule the pictures in their order."""
    done: dict[str, list[CrowdPicture]] = {name: [] for name in used}
    for found, kept, target in keep(detector, pictures, used, score_threshold):
        for name, each in kept.items():
            done[name].append(make_picture(found, each, target))
    return done


Thresholds = tuple[float, float]
"""(T_l, T_h)"""


@torch.no_grad()
def try_thresholds(
    detector: Detector,
    pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]],
    lows: Sequence[float] = GRID[0],
    highs: Sequence[float] = GRID[1],
    score_threshold: float = SCORE_THRESHOLD,
) -> dict[Thresholds, CrowdMatches]:
    """Odam-NMS with every pair T_l <= T_h on the same maps, and NMS, which is (0, 1) (Fig. 9).

    Args:
        detector: what finds people.
        pictures: as for :func:`apply_rules`, at least one.
        lows: T_l.
        highs: T_h.
        score_threshold: least score of the candidates.

    Raises:
        ValueError: no picture, or a threshold outside [0, 1].
    """
    pairs = dict.fromkeys([(0.0, 1.0)] + [(low, high) for low in lows for high in highs if low <= high])
    done: dict[Thresholds, list[CrowdPicture]] = {pair: [] for pair in pairs}
    for image, target in pictures:
        trace = detector.trace(image)
        found = find_candidates(trace, score_threshold)
        maps = raster_maps(trace, found, short_edge=RASTER)
        for low, high in pairs:
            kept = odam_nms(found.boxes, found.scores, found.labels, maps, low=low, high=high)
            done[low, high].append(make_picture(found, kept, target))
    return {pair: match_crowds(each) for pair, each in done.items()}


def shade(tried: Mapping[Thresholds, CrowdMatches], measure: Callable[[CrowdMatches], float]) -> Tensor:
    """A number for each pair that was tried: ``Tensor[L, H]`` by T_l and T_h in rising order, NaN of other pairs."""
    lows, highs = (sorted({pair[axis] for pair in tried}) for axis in (0, 1))
    return torch.tensor(
        [[measure(tried[low, high]) if (low, high) in tried else torch.nan for high in highs] for low in lows]
    )


def choose_thresholds(tried: Mapping[Thresholds, CrowdMatches]) -> Thresholds:
    """The pair with the largest Jaccard index minus miss rate, one point of either worth as much; of equals the first.

    The best Jaccard index alone would pay for people found with more false ones among the surest detections.

    Args:
        tried: what :func:`try_thresholds` gave, at least one pair.
    """
    return max(tried, key=lambda pair: jaccard(tried[pair]) - miss_rate(tried[pair]))
