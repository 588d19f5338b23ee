"""Rules of suppression, what they leave of a detector's candidates in crowds, and how Odam-NMS got its thresholds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from odam_chapters.crowds.embeddings import EMBEDDED, load_embedder
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, Trace
from odam_lib.explainers.raster import raster_maps
from odam_lib.explainers.suppression import Rule, by_boxes, by_embeddings, by_maps
from odam_lib.kernels.nms import Kept, linear, nms, odam_nms, soft_nms
from odam_lib.metrics.crowd_scores import jaccard, miss_rate
from odam_lib.metrics.crowds import CrowdMatches, CrowdPicture, match_crowds

DETECTORS = ("fcos-crowd", "fcos-crowd-odam", "faster-rcnn-crowd", "faster-rcnn-crowd-odam")
"""Trained on the same crowds without and with Odam-Train."""


CLASSICAL, FEATURE_NMS, ODAM_NMS = "NMS", "FeatureNMS", "Odam-NMS"


SOFT = {"Soft-NMS": soft_nms, "Soft-NMS, linear": partial(soft_nms, decay=linear)}


SCORE_THRESHOLD = 0.3
"""Candidates have to score more before any rule sees them. On 40 crowds miss rate and Jaccard index, which are read at
higher scores, were the same with smaller thresholds, and AP50 nearly so; maps of fewer candidates cost less. A larger
one changes more: with 0.4, fcos-crowd's AP50 by NMS falls from 0.807 to 0.787 (60 crowds), and Soft-NMS, which is left
fewer duplicates to lower, has a Jaccard index of 0.741 instead of 0.730; miss rate and NMS's index stay the same."""


CHOSEN_ON = (60, 1)
"""Number and seed of the held-out crowds on which thresholds were chosen: others than those of the results."""


GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6), (0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""T_l and T_h that were tried, together (0, 1), which is NMS."""


RASTER = 32
"""Lines and columns on which maps are compared: as many as the finest level has cells, and as Odam-Train uses.

The paper's 50, for pictures three times as large, hold no more here: with Odam-Train the best Jaccard index minus miss
rate on ``CHOSEN_ON`` is 0.315 (FCOS) and 0.325 (Faster R-CNN) with 50, 0.322 and 0.329 with 32.
"""


THRESHOLDS = {
    "fcos-crowd": (0.2, 0.7),
    "fcos-crowd-odam": (0.2, 0.6),
    "faster-rcnn-crowd": (0.0, 0.8),
    "faster-rcnn-crowd-odam": (0.1, 0.6),
}
"""(T_l, T_h) of Odam-NMS for each detector, what :func:`choose_thresholds` took of ``GRID`` on ``CHOSEN_ON``.

Jaccard index, miss rate and recall of the crowd set there, with NMS and with these:

- fcos-crowd: 0.739, 0.422, 0.590 and 0.750, 0.419, 0.646.
- fcos-crowd-odam: 0.731, 0.431, 0.578 and 0.750, 0.428, 0.687.
- faster-rcnn-crowd: 0.722, 0.400, 0.593 and 0.722, 0.400, 0.593. A T_l over 0 gains nothing here.
- faster-rcnn-crowd-odam: 0.726, 0.416, 0.590 and 0.737, 0.408, 0.642.

A larger T_l finds more of the crowd and misses more at few false positives: fcos-crowd-odam with (0.3, 0.6) 0.746,
0.431, 0.776, faster-rcnn-crowd-odam with (0.2, 0.6) 0.751, 0.429, 0.728. T_h hardly matters.

By the same rule on the same crowds no T_iou of NMS from 0.4 to 0.7 is better than 0.5, for any of the four. A larger
one finds more of the crowd, too, but neither index nor miss rate gain: fcos-crowd-odam with 0.6 0.730, 0.439, 0.690.
"""


def make_rules(detector: str) -> dict[str, Rule]:
    """Every rule for a detector of ``DETECTORS``, by name; FeatureNMS for those that have embeddings.

    Raises:
        FileNotFoundError, ValueError: the embeddings cannot be had, see :func:`load_embedder`.
    """
    by_boxes_alone = {name: by_boxes(rule) for name, rule in {CLASSICAL: nms, **SOFT}.items()}
    embedded = {FEATURE_NMS: by_embeddings(load_embedder(detector))} if detector in EMBEDDED else {}
    return by_boxes_alone | embedded | {ODAM_NMS: by_maps(*THRESHOLDS[detector], short_edge=RASTER)}


def find_candidates(trace: Trace, score_threshold: float = SCORE_THRESHOLD) -> Detections:
    """What a rule chooses from: predictions over the threshold, best first, boxes of their class and not clipped.

    Raises:
        ValueError: the threshold is outside [0, 1].
    """
    found = trace.above(score_threshold)
    return replace(found, boxes=trace.boxes(found))


def make_picture(found: Detections, kept: Kept, target: Mapping[str, Tensor]) -> CrowdPicture:
    """What a rule kept of some candidates, with the people who are there; a data set may name ``ignored`` regions."""
    truth = target["boxes"]
    ignored = target.get("ignored", truth.new_zeros((0, 4)))
    return CrowdPicture(found.boxes[kept.index].cpu(), kept.scores.cpu(), truth, ignored)


@torch.no_grad()
def apply_rules(
    detector: Detector,
    pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]],
    used: Mapping[str, Rule],
    score_threshold: float = SCORE_THRESHOLD,
) -> dict[str, list[CrowdPicture]]:
    """Run a detector once on each picture and every rule on what it found.

    Args:
        detector: what finds people.
        pictures: items ``(image [3, H, W], target)`` with ``boxes`` ``[G, 4]`` of the people.
        used: rules by name.
        score_threshold: of the candidates.

    Returns:
        For each rule the pictures in their order.
    """
    done: dict[str, list[CrowdPicture]] = {name: [] for name in used}
    for image, target in pictures:
        trace = detector.trace(image)
        found = find_candidates(trace, score_threshold)
        for name, rule in used.items():
            done[name].append(make_picture(found, rule(trace, found), target))
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
        score_threshold: of the candidates.

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


def choose_thresholds(tried: Mapping[Thresholds, CrowdMatches]) -> Thresholds:
    """The pair with the largest Jaccard index minus miss rate, one point of either worth as much; of equals the first.

    The best Jaccard index alone would pay for people found with more false ones among the surest detections.

    Args:
        tried: what :func:`try_thresholds` gave, at least one pair.
    """
    return max(tried, key=lambda pair: jaccard(tried[pair]) - miss_rate(tried[pair]))
