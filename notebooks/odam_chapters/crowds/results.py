"""What every rule of suppression leaves of every detector's candidates on held-out crowds: kept once, read by many.

``python -m odam_chapters.crowds.results --help`` writes the file that notebook 07 reads; :func:`choose` is how
Odam-NMS got its thresholds, on other crowds.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from tqdm import tqdm

from odam_chapters.crowds.embeddings import EMBEDDED, load_embedder, weights_name
from odam_lib.command import command
from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections, check_threshold
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.weights import read_version
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.raster import raster_maps
from odam_lib.explainers.suppression import Rule, by_boxes, by_embeddings, by_maps
from odam_lib.files import data_root, owned, user_path, write_tensors
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
"""(T_l, T_h) of Odam-NMS for each detector, what :func:`choose` took of ``GRID`` on ``CHOSEN_ON``.

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


def rules(detector: str) -> dict[str, Rule]:
    """Every rule for a detector of ``DETECTORS``, by name; FeatureNMS for those that have embeddings.

    Raises:
        FileNotFoundError, ValueError: the embeddings cannot be had, see :func:`load_embedder`.
    """
    by_boxes_alone = {name: by_boxes(rule) for name, rule in {CLASSICAL: nms, **SOFT}.items()}
    embedded = {FEATURE_NMS: by_embeddings(load_embedder(detector))} if detector in EMBEDDED else {}
    return by_boxes_alone | embedded | {ODAM_NMS: by_maps(*THRESHOLDS[detector], short_edge=RASTER)}


def candidates(trace: Trace, score_threshold: float = SCORE_THRESHOLD) -> Detections:
    """What a rule chooses from: predictions over the threshold, best first, boxes of their class and not clipped.

    Raises:
        ValueError: the threshold is outside [0, 1].
    """
    found = trace.above(score_threshold)
    return replace(found, boxes=trace.boxes(found))


def pictured(found: Detections, kept: Kept, target: Mapping[str, Tensor]) -> CrowdPicture:
    """What a rule kept of some candidates, with the people who are there; a data set may name ``ignored`` regions."""
    truth = target["boxes"]
    ignored = target.get("ignored", truth.new_zeros((0, 4)))
    return CrowdPicture(found.boxes[kept.index].cpu(), kept.scores.cpu(), truth, ignored)


@torch.no_grad()
def apply(
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
        found = candidates(trace, score_threshold)
        for name, rule in used.items():
            done[name].append(pictured(found, rule(trace, found), target))
    return done


Thresholds = tuple[float, float]
"""(T_l, T_h)"""


@torch.no_grad()
def grid(
    detector: Detector,
    pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]],
    lows: Sequence[float] = GRID[0],
    highs: Sequence[float] = GRID[1],
    score_threshold: float = SCORE_THRESHOLD,
) -> dict[Thresholds, CrowdMatches]:
    """Odam-NMS with every pair T_l <= T_h on the same maps, and NMS, which is (0, 1) (Fig. 9).

    Args:
        detector: what finds people.
        pictures: as for :func:`apply`, at least one.
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
        found = candidates(trace, score_threshold)
        maps = raster_maps(trace, found, short_edge=RASTER)
        for low, high in pairs:
            kept = odam_nms(found.boxes, found.scores, found.labels, maps, low=low, high=high)
            done[low, high].append(pictured(found, kept, target))
    return {pair: match_crowds(each) for pair, each in done.items()}


def choose(tried: Mapping[Thresholds, CrowdMatches]) -> Thresholds:
    """The pair with the largest Jaccard index minus miss rate, one point of either worth as much; of equals the first.

    The best Jaccard index alone would pay for people found with more false ones among the surest detections.

    Args:
        tried: what :func:`grid` gave, at least one pair.
    """
    return max(tried, key=lambda pair: jaccard(tried[pair]) - miss_rate(tried[pair]))


@dataclass(frozen=True, eq=False)
class CrowdResults:
    """What was kept of N held-out crowds.

    Attributes:
        truth: N tensors ``[G, 4]``, the people of each.
        kept: by detector and rule, N pairs of boxes ``[P, 4]`` and scores ``[P]``.
        about: by detector, the ``versions`` of the weights, the ``score_threshold`` and Odam-NMS's ``thresholds``.
    """

    truth: tuple[Tensor, ...]
    kept: Mapping[tuple[str, str], tuple[tuple[Tensor, Tensor], ...]] = field(default_factory=dict)
    about: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def detectors(self) -> list[str]:
        """Whose results there are."""
        return list(self.about)

    def rules(self, detector: str) -> list[str]:
        """Names of a detector's rules."""
        return [rule for name, rule in self.kept if name == detector]

    def pictures(self, detector: str, rule: str) -> list[CrowdPicture]:
        """What one rule kept of one detector's candidates; to half precision as stored.

        Raises:
            KeyError: nothing of this detector and rule is kept.
        """
        if (detector, rule) not in self.kept:
            raise KeyError(f"There is nothing of {detector} with {rule}: kept are {list(self.kept)}.")
        return [
            CrowdPicture(boxes, scores, truth, truth.new_zeros((0, 4)))
            for (boxes, scores), truth in zip(self.kept[detector, rule], self.truth)
        ]

    def match_crowds(self, detector: str, rule: str) -> CrowdMatches:
        """The same, matched with the people. See :meth:`pictures`."""
        return match_crowds(self.pictures(detector, rule))

    def agreement(self, detector: str, done: Mapping[str, Sequence[CrowdPicture]]) -> float:
        """The share of detections on the first pictures that are here, too: corners to half a pixel, scores to 0.005.

        Args:
            detector: whose.
            done: what :func:`apply` gave by rule, on the first of these pictures.

        Returns:
            In [0, 1]; what only one side has counts against it. 1 where neither has a detection.

        Raises:
            KeyError: a rule that is not here.
        """
        common, every = 0, 0
        for rule, pictures in done.items():
            for mine, theirs in zip(self.pictures(detector, rule), pictures):
                apart = (mine.boxes[:, None] - theirs.boxes).abs().amax(dim=2) <= 0.5
                same = apart & ((mine.scores[:, None] - theirs.scores).abs() <= 0.005)
                both = int(same.any(dim=1).sum()), int(same.any(dim=0).sum())
                common, every = common + sum(both), every + len(mine.boxes) + len(theirs.boxes)
        return common / every if every else 1.0

    def joined(
        self, detector: str, done: Mapping[str, Sequence[CrowdPicture]], about: dict[str, Any]
    ) -> "CrowdResults":
        """These with those of another detector on the same pictures.

        Raises:
            ValueError: results of another number of pictures.
        """
        if any(len(each) != len(self.truth) for each in done.values()):
            raise ValueError(f"These results are of {len(self.truth)} pictures: give results of the same ones.")
        new = {
            (detector, rule): tuple((picture.boxes, picture.scores) for picture in each) for rule, each in done.items()
        }
        return CrowdResults(self.truth, {**self.kept, **new}, {**self.about, detector: about})

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file in half precision, whole or not at all."""
        tensors = _packed("truth", [(boxes,) for boxes in self.truth])
        for (detector, rule), each in self.kept.items():
            tensors |= _packed(f"{detector}/{rule}", each)
        write_tensors(path, tensors, {"crowd_results": json.dumps(self.about)})

    @classmethod
    def load(cls, path: str | Path) -> "CrowdResults":
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it was not written by :meth:`save`, or is damaged.
        """
        path = user_path(path)
        try:
            with safe_open(path, framework="pt") as opened:
                about = json.loads((opened.metadata() or {})["crowd_results"])
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            names = [name.rsplit(".", 1)[0] for name in tensors if name.endswith(".counts")]
            rows = {name: _unpacked(tensors, name) for name in names}
            truth = tuple(boxes for (boxes,) in rows.pop("truth"))
            keys = [(detector, rule) for detector, one in about.items() for rule in one["rules"]]
            kept = {key: rows["/".join(key)] for key in keys}
            if not _fits(truth, kept):
                raise ValueError("What the file says does not fit together.")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"There are no results at {path}: check the path.") from error
        except Exception as error:  # whatever a file of another kind leads to
            raise ValueError(
                f"{path} holds no results or is damaged: give a file that CrowdResults.save wrote, or delete it."
            ) from error
        return cls(truth, kept, about)


def _fits(truth: Sequence[Tensor], kept: Mapping[Any, Sequence[tuple[Tensor, ...]]]) -> bool:
    """Whether each rule has boxes and scores of each picture."""
    boxes = [*truth, *(pair[0] for rows in kept.values() for pair in rows)]
    return (
        all(box.dim() == 2 and box.shape[1] == 4 for box in boxes)
        and all(len(rows) == len(truth) for rows in kept.values())
        and all(score.shape == box.shape[:1] for rows in kept.values() for box, score in rows)
    )


def _packed(name: str, rows: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
    """Tensors of N pictures in one each; ``counts`` says how many rows a picture has."""
    columns = {f"{name}.{number}": torch.cat(column).half() for number, column in enumerate(zip(*rows))}
    return columns | {f"{name}.counts": torch.tensor([len(row[0]) for row in rows], dtype=torch.int32)}


def _unpacked(tensors: Mapping[str, Tensor], name: str) -> tuple[tuple[Tensor, ...], ...]:
    counts = tensors[f"{name}.counts"].tolist()
    columns = [
        tensors[f"{name}.{number}"].float().split(counts) for number in range(2) if f"{name}.{number}" in tensors
    ]
    return tuple(zip(*columns))


def bundled() -> Path:
    """Where the bundled results lie."""
    return data_root() / "evaluation" / "crowd-results.safetensors"


@cache
def load_results() -> CrowdResults:
    """The bundled results.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it was made with other weights of a detector than lie here.
    """
    results = CrowdResults.load(bundled())
    for detector, about in results.about.items():
        if about.get("versions") != _versions(detector):
            raise ValueError(
                f"{bundled()} was made with other weights of {detector} than those here: "
                f"run python -m odam_chapters.crowds.results {bundled()} again."
            )
    return results


def _versions(detector: str) -> list[dict[str, str]]:
    """Which weights of a detector, and of its embeddings if it has any, lie here."""
    return [read_version(name) for name in (detector, *([weights_name(detector)] if detector in EMBEDDED else []))]


def collect(path: Path, number: int, detectors: Sequence[str], score_threshold: float, device: str) -> CrowdResults:
    """Add the results of detectors to a file; those that it holds, made with the same weights, are not made again.

    No other run may write to the file meanwhile.

    Raises:
        ValueError: the file holds results of another number of pictures.
        OSError: the file cannot be written, see :func:`~odam_lib.files.owned`.
    """
    pictures = Scenes("val", number, "crowd")
    with owned(path):
        results = CrowdResults.load(path) if path.is_file() else None
        if results is not None and len(results.truth) != number:
            raise ValueError(
                f"{path} holds results of {len(results.truth)} pictures: give another path or that number."
            )
        used = {name: rules(name) for name in detectors}
        about = {name: _about(name, each, score_threshold) for name, each in used.items()}
        drawn = [pictures[item] for item in tqdm(range(number), desc="drawing crowds", unit="picture")]
        if results is None:
            results = CrowdResults(tuple(target["boxes"] for _, target in drawn))
        for name in detectors:
            if results.about.get(name) == about[name]:
                continue
            shown = tqdm(drawn, desc=name, unit="picture")
            done = apply(load_detector(name, device), shown, used[name], score_threshold)
            results = results.joined(name, done, about[name])
            results.save(path)
        return results


def _about(detector: str, used: Mapping[str, Rule], score_threshold: float) -> dict[str, Any]:
    """What results are made with: if it changes, they are made again."""
    return {
        "versions": _versions(detector),
        "score_threshold": score_threshold,
        "thresholds": list(THRESHOLDS[detector]),
        "raster": RASTER,
        "rules": list(used),
    }


@command
def main() -> None:
    """Run detectors on held-out crowds and keep what each rule leaves of their candidates, or choose thresholds."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_chapters.crowds.results",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=user_path, help="safetensors file; what it holds already is not made again")
    parser.add_argument("--pictures", type=int, default=500, help="how many crowds")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--score-threshold", type=float, default=SCORE_THRESHOLD, help="of the candidates")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    arguments = parser.parse_args()
    check_threshold(arguments.score_threshold)
    collect(arguments.output, arguments.pictures, arguments.detectors, arguments.score_threshold, arguments.device)


if __name__ == "__main__":
    main()
