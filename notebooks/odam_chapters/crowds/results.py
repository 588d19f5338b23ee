"""What every rule of suppression leaves of every detector's candidates on held-out crowds: kept once, read by many.

``python -m odam_chapters.crowds.results --help`` writes the file that notebook 07 reads; :func:`choose` is how
Odam-NMS got its thresholds, on other crowds.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from tqdm import tqdm

from odam_chapters.crowds.embeddings import EMBEDDED, name_weights
from odam_chapters.crowds.rules import DETECTORS, RASTER, SCORE_THRESHOLD, THRESHOLDS, apply_rules, make_rules
from odam_lib.command import command
from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import check_threshold
from odam_lib.detectors.weights import read_version
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.suppression import Rule
from odam_lib.files import data_root, owned, user_path, write_tensors
from odam_lib.metrics.crowds import CrowdMatches, CrowdPicture, match_crowds


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
            done: what :func:`apply_rules` gave by rule, on the first of these pictures.

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


def locate_bundled() -> Path:
    """Where the bundled results lie."""
    return data_root() / "evaluation" / "crowd-results.safetensors"


@cache
def load_results() -> CrowdResults:
    """The bundled results.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it was made with other weights of a detector than lie here.
    """
    results = CrowdResults.load(locate_bundled())
    for detector, about in results.about.items():
        if about.get("versions") != _versions(detector):
            raise ValueError(
                f"{locate_bundled()} was made with other weights of {detector} than those here: "
                f"run python -m odam_chapters.crowds.results {locate_bundled()} again."
            )
    return results


def _versions(detector: str) -> list[dict[str, str]]:
    """Which weights of a detector, and of its embeddings if it has any, lie here."""
    return [read_version(name) for name in (detector, *([name_weights(detector)] if detector in EMBEDDED else []))]


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
        used = {name: make_rules(name) for name in detectors}
        about = {name: _about(name, each, score_threshold) for name, each in used.items()}
        drawn = [pictures[item] for item in tqdm(range(number), desc="drawing crowds", unit="picture")]
        if results is None:
            results = CrowdResults(tuple(target["boxes"] for _, target in drawn))
        for name in detectors:
            if results.about.get(name) == about[name]:
                continue
            shown = tqdm(drawn, desc=name, unit="picture")
            done = apply_rules(load_detector(name, device), shown, used[name], score_threshold)
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
