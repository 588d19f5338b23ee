"""What every rule of suppression leaves of every detector's candidates on held-out crowds: kept once, read by many.

``python -m odam_chapters.crowds.results --help`` makes them, and writes the file that notebook 07 reads.
"""

import argparse
import json
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from tqdm import tqdm

from odam_chapters.crowds.embeddings import EMBEDDED, name_weights
from odam_chapters.crowds.people import People
from odam_chapters.crowds.rules import (
    DETECTORS,
    PAPERS_THRESHOLDS,
    RASTER,
    SCORE_THRESHOLD,
    THRESHOLDS,
    keep,
    make_rules,
    name_detectors,
)
from odam_lib.command import command
from odam_lib.datasets.arguments import add_dataset_arguments, add_split_argument, open_from
from odam_lib.datasets.pictures import Target
from odam_lib.detections import Detections, check_threshold
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trained import read_run
from odam_lib.detectors.weights import read_card, read_version
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.suppression import Rule
from odam_lib.files import data_root, output_file, user_path, write_whole
from odam_lib.kernels.nms import Kept
from odam_lib.metrics.crowds import CrowdMatches, CrowdPicture, match_crowds
from odam_lib.row_store import RowStore, open_store, store_file


@dataclass(frozen=True, eq=False)
class Sifted:
    """The C candidates of one picture that at least one rule keeps, and what each rule makes of them.

    Attributes:
        boxes: ``Tensor[C, 4]``, (x1, y1, x2, y2) in pixels.
        scores: ``Tensor[C]``, the detector's.
        left: by rule, ``Tensor[C]``, the score that it leaves to each; 0 where it drops one.
    """

    boxes: Tensor
    scores: Tensor
    left: Mapping[str, Tensor]

    @classmethod
    def of(cls, found: Detections, kept: Mapping[str, Kept]) -> "Sifted":
        """Of the candidates of a picture and what rules keep of them."""
        left = {name: found.scores.new_zeros(len(found)) for name in kept}
        for name, one in kept.items():
            left[name][one.index] = one.scores
        used = torch.stack(list(left.values())).any(dim=0)
        return cls(
            found.boxes[used].cpu(), found.scores[used].cpu(), {name: one[used].cpu() for name, one in left.items()}
        )


@dataclass(frozen=True, eq=False)
class CrowdResults:
    """What was kept of N held-out crowds.

    Attributes:
        truth: N tensors ``[G, 4]``, the people of each.
        sifted: by detector, of each of the N crowds.
        about: by detector, the ``versions`` of the weights, the ``score_threshold`` and Odam-NMS's ``thresholds``.
        ignored: N tensors ``[I, 4]``, where detections are neither right nor wrong; empty if there are no such places.
    """

    truth: tuple[Tensor, ...]
    sifted: Mapping[str, tuple[Sifted, ...]] = field(default_factory=dict)
    about: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    ignored: tuple[Tensor, ...] = ()

    @property
    def detectors(self) -> list[str]:
        """Whose results there are."""
        return list(self.about)

    def rules(self, detector: str) -> list[str]:
        """Names of a detector's rules."""
        return self.about[detector]["rules"]

    @property
    def keys(self) -> list[tuple[str, str]]:
        """Every detector with each of its rules."""
        return [(detector, rule) for detector in self.detectors for rule in self.rules(detector)]

    def pictures(self, detector: str, rule: str) -> list[CrowdPicture]:
        """What one rule kept of one detector's candidates; to half precision as stored.

        Raises:
            KeyError: nothing of this detector and rule is kept.
        """
        if (detector, rule) not in self.keys:
            raise KeyError(f"There is nothing of {detector} with {rule}: kept are {self.keys}.")
        made = []
        nowhere = (torch.zeros((0, 4)),) * len(self.truth)
        for one, truth, ignored in zip(self.sifted[detector], self.truth, self.ignored or nowhere):
            scores = one.left[rule]
            made.append(CrowdPicture(one.boxes[scores > 0], scores[scores > 0], truth, ignored))
        return made

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

    def joined(self, detector: str, sifted: Sequence[Sifted], about: dict[str, Any]) -> "CrowdResults":
        """These with those of another detector on the same pictures.

        Raises:
            ValueError: results of another number of pictures.
        """
        if len(sifted) != len(self.truth):
            raise ValueError(f"These results are of {len(self.truth)} pictures: give results of the same ones.")
        sifted_by, about_by = {**self.sifted, detector: tuple(sifted)}, {**self.about, detector: about}
        return CrowdResults(self.truth, sifted_by, about_by, self.ignored)

    def save(self, path: str | Path) -> None:
        """Write everything to one compressed safetensors file in half precision, whole or not at all."""
        about = torch.tensor(list(json.dumps(self.about).encode()), dtype=torch.uint8)
        tensors = {ABOUT: about, **_pack_boxes("truth", self.truth)}
        if self.ignored:
            tensors |= _pack_boxes("ignored", self.ignored)
        for detector, each in self.sifted.items():
            scores = torch.cat([one.scores for one in each]).half()
            tensors |= {**_pack_boxes(detector, [one.boxes for one in each]), f"{detector}.scores": scores}
            for rule in self.rules(detector):
                left = torch.cat([one.left[rule] for one in each]).half()
                as_they_are = ((left == 0) | (left == scores)).all()
                tensors[f"{detector}/{rule}"] = left > 0 if as_they_are else left
        with write_whole(path) as aside:
            aside.write_bytes(lzma.compress(save(tensors), filters=[PACKING]))

    @classmethod
    def load(cls, path: str | Path) -> "CrowdResults":
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it was not written by :meth:`save`, or is damaged.
        """
        path = user_path(path)
        try:
            tensors = load(lzma.decompress(path.read_bytes()))
            about = json.loads(bytes(tensors[ABOUT].tolist()))
            truth = _unpack_boxes(tensors, "truth")
            ignored = _unpack_boxes(tensors, "ignored") if "ignored.counts" in tensors else ()
            sifted = {name: _unpack(tensors, name, each["rules"]) for name, each in about.items()}
            if any(len(each) != len(truth) for each in sifted.values()):
                raise ValueError("What the file says does not fit together.")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"There are no results at {path}: check the path.") from error
        except Exception as error:  # whatever a file of another kind leads to
            raise ValueError(
                f"{path} holds no results or is damaged: give a file that CrowdResults.save wrote, or delete it."
            ) from error
        return cls(truth, sifted, about, ignored)


ABOUT = "about"
"""Name of the tensor that holds :attr:`CrowdResults.about` as the bytes of a JSON."""

PACKING = {"id": lzma.FILTER_LZMA2, "preset": lzma.PRESET_EXTREME, "lp": 1, "pb": 1}
"""Of numbers of two bytes, as half precision has."""


def _pack_boxes(name: str, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
    """Boxes of N pictures, a line for each coordinate, which compresses better; ``counts`` says how many each has."""
    counts = torch.tensor([len(each) for each in boxes], dtype=torch.int32)
    return {f"{name}.boxes": torch.cat(list(boxes)).half().T.contiguous(), f"{name}.counts": counts}


def _unpack_boxes(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, ...]:
    return tensors[f"{name}.boxes"].float().T.split_with_sizes(tensors[f"{name}.counts"].tolist())


def _unpack(tensors: Mapping[str, Tensor], name: str, rules: Sequence[str]) -> tuple[Sifted, ...]:
    boxes, scores = _unpack_boxes(tensors, name), tensors[f"{name}.scores"].float()
    kept = {rule: tensors[f"{name}/{rule}"] for rule in rules}
    left = [scores * each if each.dtype == torch.bool else each.float() for each in kept.values()]
    counts = [len(each) for each in boxes]
    columns = zip(boxes, *(each.split_with_sizes(counts) for each in (scores, *left)))
    return tuple(Sifted(box, score, dict(zip(rules, each))) for box, score, *each in columns)


def locate_bundled() -> Path:
    """Where the bundled results lie."""
    return data_root() / "evaluation" / "crowd-results.safetensors.xz"


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
                f"make it again, as data/evaluation/README.md says."
            )
    return results


def _versions(detector: str) -> list[dict[str, str]]:
    """Which weights of a detector, and of its embeddings if it has any, lie here."""
    if detector not in DETECTORS:
        run = read_run(detector)
        return [{"detector": run.name, "sha256": read_card(run.file)["sha256"]}]
    return [read_version(name) for name in (detector, *([name_weights(detector)] if detector in EMBEDDED else []))]


def collect(
    path: Path | None, pictures: People, detectors: Sequence[str], score_threshold: float, device: str
) -> CrowdResults:
    """Run detectors on crowds and keep the results of each as they are there; those that are kept are not made again.

    Tables of the file: ``people`` (picture, x1, y1, x2, y2, ignored), ``detectors`` (what each was run with, as JSON),
    ``done`` (picture, detector), and one named after each detector, a row a candidate: picture, box, score, and what
    each rule leaves of the score.

    Args:
        path: an SQLite file, see :mod:`odam_lib.row_store`; ``None`` keeps nothing. No other run may write to it
            meanwhile.
        pictures: the crowds.
        detectors: names of ``DETECTORS``, or folders of trainings.
        score_threshold: of the candidates.
        device: where detectors run.

    Raises:
        ValueError: the file holds results of other pictures, weights or settings, or something else; or a detector is
            unknown, or not of people alone.
        OSError: it cannot be written, see :func:`~odam_lib.files.owned`.
    """
    places = name_detectors(detectors)
    used = {name: make_rules(name) for name in places}
    about = {name: _about(places[name], rules, score_threshold) for name, rules in used.items()}
    with open_store(path, "odam_chapters.crowds.results") as store:
        known = {one["detector"]: json.loads(one["about"]) for one in store.select("detectors")}
        store.check_same({name: one for name, one in known.items() if name in about}, about)
        for first in list(store.select("done", "ORDER BY picture LIMIT 1")):
            _check_people(store, first["picture"], pictures[first["picture"]][1])
        loaded: dict[str, Detector] = {}
        for item in tqdm(range(len(pictures)), unit="crowd"):
            done = {one["detector"] for one in store.select("done", "WHERE picture = ?", [item])}
            if not (missing := [name for name in places if name not in done]):
                continue
            drawn = pictures[item]
            if done:
                _check_people(store, item, drawn[1])
            people = [] if done else _people(item, drawn[1])
            for name in missing:
                loaded[name] = loaded.get(name) or load_detector(places[name], device)
                found, kept, _ = next(iter(keep(loaded[name], [drawn], used[name], score_threshold)))
                with store.transaction():
                    if name not in known:
                        store.insert("detectors", [{"detector": name, "about": json.dumps(about[name])}], ["detector"])
                    store.insert("people", people)
                    store.insert("done", [{"picture": item, "detector": name}], ["picture", "detector"])
                    store.insert(name, _rows(item, Sifted.of(found, kept)))
                known[name], people = about[name], []
        return _gather(store, len(pictures), about)


CORNERS = ("x1", "y1", "x2", "y2")


def _people(item: int, target: Target) -> list[dict[str, float]]:
    boxes = [(box, ignored) for ignored, key in enumerate(("boxes", "ignored")) for box in target[key].tolist()]
    return [{"picture": item, **dict(zip(CORNERS, box)), "ignored": ignored} for box, ignored in boxes]


def _check_people(store: RowStore, item: int, target: Target) -> None:
    """Raise ``ValueError`` unless the people that are kept of a picture are those in it."""
    if list(store.select("people", "WHERE picture = ? ORDER BY rowid", [item])) != _people(item, target):
        raise ValueError(f"{store.path} holds results of other pictures: give another path, or the data of that file.")


def _rows(item: int, sifted: Sifted) -> list[dict[str, float]]:
    numbers = zip(sifted.boxes.tolist(), sifted.scores.tolist(), *(left.tolist() for left in sifted.left.values()))
    return [
        {"picture": item, **dict(zip(CORNERS, box)), "score": score, **dict(zip(sifted.left, left))}
        for box, score, *left in numbers
    ]


def _gather(store: RowStore, number: int, about: Mapping[str, dict[str, Any]]) -> CrowdResults:
    """What is kept of the first pictures."""

    def by_picture(table: str, columns: Sequence[str], condition: str = "") -> tuple[Tensor, ...]:
        each: list[list[list[float]]] = [[] for _ in range(number)]
        for row in store.select(table, f"WHERE picture < ? {condition} ORDER BY rowid", [number]):
            each[row["picture"]].append([row[name] for name in columns])
        return tuple(torch.tensor(one).reshape(-1, len(columns)) for one in each)

    people, ignored = (by_picture("people", CORNERS, f"AND ignored = {which}") for which in (0, 1))
    results = CrowdResults(people, ignored=ignored if any(map(len, ignored)) else ())
    for name, one in about.items():
        rules = one["rules"]
        numbers = by_picture(name, (*CORNERS, "score", *rules))
        sifted = [Sifted(rows[:, :4], rows[:, 4], dict(zip(rules, rows[:, 5:].T))) for rows in numbers]
        results = results.joined(name, sifted, one)
    return results


def _about(detector: str, used: Mapping[str, Rule], score_threshold: float) -> dict[str, Any]:
    """What results are made with: if it changes, they are made again."""
    return {
        "versions": _versions(detector),
        "score_threshold": score_threshold,
        "thresholds": list(THRESHOLDS.get(detector, PAPERS_THRESHOLDS)),
        "raster": RASTER,
        "rules": list(used),
    }


@command
def main() -> None:
    """Run detectors on held-out crowds and keep what each rule leaves of their candidates."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_chapters.crowds.results",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=user_path, help=".sqlite that keeps the results; an interrupted run goes on")
    parser.add_argument("--bundle", type=user_path, help="compressed safetensors file to write of them at the end")
    add_dataset_arguments(parser, "crowd")
    add_split_argument(parser)
    parser.add_argument("--pictures", type=int, default=500, help="how many")
    parser.add_argument(
        "--detectors", nargs="+", default=list(DETECTORS), metavar="DETECTOR", help="these, or folders of trainings"
    )
    parser.add_argument("--score-threshold", type=float, default=SCORE_THRESHOLD, help="of the candidates")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    arguments = parser.parse_args()
    check_threshold(arguments.score_threshold)
    pictures = People(open_from(arguments, arguments.pictures))
    name_detectors(arguments.detectors)
    store_file(arguments.output)
    if arguments.bundle is not None:
        output_file(arguments.bundle)
    results = collect(arguments.output, pictures, arguments.detectors, arguments.score_threshold, arguments.device)
    if arguments.bundle is not None:
        results.save(arguments.bundle)


if __name__ == "__main__":
    main()
