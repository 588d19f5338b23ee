"""A detector's mistakes in scenes with a planted distractor: what their maps say, and whether removing it mends them.

``python -m odam_chapters.errors.survey --help`` keeps one row for each mistake, and writes the CSV that notebook 04
reads.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from odam_chapters.errors.compared import (
    BAD_BOX,
    WRONG_NAME,
    find_mended,
    find_worst_and_best_edge,
    overlap_distractor,
    sort_mistakes,
)
from odam_chapters.rows import read_records
from odam_lib.command import command
from odam_lib.datasets.scenes import CATEGORIES, DISTRACTORS, Scenes
from odam_lib.detections import Detections, check_threshold
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.weights import name_weights
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.odam import ODAM
from odam_lib.files import data_root, output_file, user_path, write_rows
from odam_lib.heatmaps import ATTRIBUTES, EDGES
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.errors import VERDICTS, Errors, judge_picture
from odam_lib.metrics.localization import energy_inside
from odam_lib.row_store import open_store, store_file

ROWS = data_root() / "evaluation" / "distractors.csv.gz"
Judged = tuple[Trace, Detections, Errors]
Verdicts = tuple[Detections, Errors]
AGREEMENT = 0.9
"""Stored rows are used where at least this share of the mistakes is found again."""


@dataclass(frozen=True)
class Mistake:
    """One wrong detection in a scene with a distractor. Shares are of a map's energy on its visible pixels.

    Attributes:
        detector: its name.
        scene, row: number of the scene in its data set, row of the detection among the picture's.
        verdict: one of ``VERDICTS`` but ``correct``.
        sort: one of ``SORTS``.
        overlap, planted_overlap: its IoU with the object that the verdict speaks of, for background the largest with
            any, and that with the box around the distractor's visible pixels.
        label, true_label: what it was called, and what the object is that the verdict speaks of; empty for background.
        score: in [0, 1].
        kind: kind of the distractor.
        wrong_edge, best_edge: the edges of a bad box; else empty.
        class_share, wrong_edge_share, best_edge_share: shares of its maps; the latter two NaN without such an edge.
        true_class_share: share of the same prediction's map for the object's true class; NaN unless it is a wrong
            name.
        clean_share: share of the wrong edge's map of the same object's correct detection without the distractor, on
            the pixels where that was; NaN where there is none.
        area_share: the distractor's share of the picture.
        box_share: the distractor's share of the detection's box.
        mended: whether the mistake is gone without the thing, see :func:`~odam_chapters.errors.compared.find_mended`.
    """

    detector: str
    scene: int
    row: int
    verdict: str
    sort: str
    overlap: float
    planted_overlap: float
    label: str
    true_label: str
    score: float
    kind: str
    wrong_edge: str
    best_edge: str
    class_share: float
    wrong_edge_share: float
    best_edge_share: float
    true_class_share: float
    clean_share: float
    area_share: float
    box_share: float
    mended: bool

    @property
    def evidence(self) -> float:
        """The share of the map that speaks of the mistake: the wrong edge's, or the class map's."""
        return self.wrong_edge_share if self.sort == BAD_BOX else self.class_share


def judge(
    detector: Detector, image: Tensor, target: dict[str, Tensor | int], score_threshold: float
) -> tuple[Trace, Detections, Errors]:
    """Detect and classify the mistakes. What lies in a region that the data set ignores is not judged.

    Args:
        detector: at its default layer.
        image: ``Tensor[3, H, W]`` in [0, 1].
        target: with ``boxes`` and ``labels``, perhaps ``ignored`` ``[K, 4]`` and ``ignored_labels`` ``[K]``.
        score_threshold: least score of a detection.
    """
    trace = detector.trace(image.to(detector.device))
    return trace, *judge_picture(trace.detections(score_threshold), target)


def speak_of(detections: Detections, labels: Tensor) -> Detections:
    """The same predictions spoken of as other classes: ODAM then explains their scores for those.

    Args:
        detections: N rows.
        labels: int64 ``Tensor[N]``.
    """
    labels = labels.to(detections.labels)
    scores = detections.class_probs.gather(1, labels[:, None])[:, 0]
    return replace(detections, labels=labels, scores=scores)


def survey_scene(detector: Detector, scenes: Scenes, item: int, score_threshold: float = 0.5) -> list[Mistake]:
    """All mistakes in one scene of the split ``distractors``, explained, and looked for again without its distractor.

    Args:
        detector: what looks at it.
        scenes: of the split ``distractors``.
        item: number of the scene.
        score_threshold: least score of a detection.

    Raises:
        ValueError: the scenes have no distractors.
    """
    if not scenes.distracted:
        raise ValueError("These scenes have no distractors: give Scenes('distractors', ...).")
    image, target = scenes[item]
    trace, found, errors = judge(detector, image, target, score_threshold)
    rows = torch.nonzero(errors.verdicts != 0).flatten()
    if not len(rows):
        return []
    clean = judge(detector, *scenes.without_distractors(item), score_threshold)
    gone = find_mended(found, errors, clean[1], clean[2])
    mask = target["distractor_masks"][0]
    wrong, sorts, near = (
        found[rows.to(found.boxes.device)],
        sort_mistakes(found, errors, target),
        overlap_distractor(found, target),
    )
    shares = energy_inside(ODAM()(trace, wrong, ATTRIBUTES).to_image().cpu(), mask)
    area = box_regions(wrong.boxes.cpu(), wrong.image_size)
    inside = (area & mask).sum(dim=(1, 2)) / area.sum(dim=(1, 2)).clamp(min=1)
    mistakes = []
    for place, row in enumerate(rows.tolist()):
        sort, chosen = sorts[row], int(errors.objects[row])
        true = int(target["labels"][chosen]) if chosen >= 0 else 0
        of_edges = ("", "", math.nan, math.nan, math.nan)
        if sort == BAD_BOX:
            of_edges = _edges(wrong.boxes[place].cpu(), target["boxes"][chosen], shares[place], clean, chosen, mask)
        true_class = math.nan
        if sort == WRONG_NAME:
            other = speak_of(wrong[place], torch.tensor([true]))
            true_class = float(energy_inside(ODAM()(trace, other, ("class",)).to_image().cpu(), mask))
        mistakes.append(
            Mistake(
                detector=detector.name,
                scene=item,
                row=row,
                verdict=VERDICTS[errors.verdicts[row]],
                sort=sort,
                overlap=float(errors.overlaps[row]),
                planted_overlap=float(near[row]),
                label=wrong.names()[place],
                true_label=CATEGORIES[true] if chosen >= 0 else "",
                score=float(wrong.scores[place]),
                kind=DISTRACTORS[int(target["distractor_kinds"][0])],
                wrong_edge=of_edges[0],
                best_edge=of_edges[1],
                class_share=float(shares[place, 0]),
                wrong_edge_share=of_edges[2],
                best_edge_share=of_edges[3],
                true_class_share=true_class,
                clean_share=of_edges[4],
                area_share=float(mask.float().mean()),
                box_share=float(inside[place]),
                mended=bool(gone[row]),
            )
        )
    return mistakes


def _edges(
    box: Tensor, true_box: Tensor, shares: Tensor, clean: tuple[Trace, Detections, Errors], chosen: int, mask: Tensor
) -> tuple[str, str, float, float, float]:
    """Wrong and best edge, their maps' shares, and the wrong edge's in the picture without the distractor."""
    worst, best = (int(edge) for edge in find_worst_and_best_edge(box[None], true_box[None]))
    trace, found, errors = clean
    same = torch.nonzero((errors.verdicts == 0) & (errors.objects == chosen)).flatten()
    share = math.nan
    if len(same):
        heat = ODAM()(trace, found[same.to(found.boxes.device)], (EDGES[worst],)).to_image().cpu()
        share = float(energy_inside(heat, mask))
    return EDGES[worst], EDGES[best], float(shares[1 + worst]), float(shares[1 + best]), share


def write_mistakes(mistakes: Sequence[Mistake], path: Path) -> None:
    """Write mistakes as CSV, shares and scores with four digits; the file is written whole or not at all."""
    rows = [
        {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in asdict(one).items()}
        for one in mistakes
    ]
    write_rows(path, rows, [field.name for field in fields(Mistake)])


def read_mistakes(path: Path) -> list[Mistake]:
    """What :func:`write_mistakes` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else, or is damaged.
    """
    return read_records(path, "mistakes", "python -m odam_chapters.errors.survey", Mistake)


def find_mistakes(
    detector: Detector, scenes: Scenes, score_threshold: float, judged: Sequence[Verdicts]
) -> list[Mistake]:
    """The stored mistakes of 300 scenes where they are still true, else those of these scenes.

    They are where scenes and threshold are the stored ones' and most mistakes of these scenes are found there again:
    a detection next to the threshold may fall on its other side on another processor.

    Args:
        detector: what looks at them.
        scenes: of the split ``distractors``.
        score_threshold: least score of a detection.
        judged: the detections and verdicts of each of these scenes, from :func:`judge`.

    Raises:
        RuntimeError: the stored mistakes are those of another detector of that name.
    """
    stored = [one for one in read_mistakes(ROWS) if one.detector == detector.name]
    if not stored or scenes.first != Scenes("distractors", 1).first or score_threshold != 0.5:
        return [one for item in range(len(scenes)) for one in survey_scene(detector, scenes, item, score_threshold)]
    here = {
        (item, verdict, label)
        for item, (found, errors) in enumerate(judged)
        for verdict, label in zip(errors.names(), found.names())
        if verdict != "correct"
    }
    seen = range(min(len(scenes), 1 + max(one.scene for one in stored)))
    there = {(one.scene, one.verdict, one.label) for one in stored if one.scene in seen}
    if len(here & there) < AGREEMENT * len({one for one in here if one[0] in seen} | there):
        raise RuntimeError(f"The stored mistakes of {detector.name} are not those found here: run the survey again.")
    return stored


def survey(
    path: Path | None, detectors: Sequence[Detector], scenes: Scenes, score_threshold: float = 0.5
) -> list[Mistake]:
    """Survey scenes and keep what is found of each as it is done; those that are kept already are not looked at again.

    Args:
        path: an SQLite file, see :mod:`odam_lib.row_store`; ``None`` keeps nothing. No other run may write to it
            meanwhile.
        detectors: what looks at them.
        scenes: of the split ``distractors``.
        score_threshold: least score of a detection.

    Returns:
        The mistakes, of one detector after another.

    Raises:
        ValueError: the file holds mistakes of other scenes, another threshold or other weights, or something else; or
            two detectors have one name.
        OSError: it cannot be written.
    """
    found = []
    with open_store(path, "odam_chapters.errors.survey") as store:
        store.check_settings({"first scene": scenes.first, "threshold": check_threshold(score_threshold)})
        known = {one["detector"]: one["weights"] for one in store.select("detectors")}
        weights = {detector.name: name_weights(detector) for detector in detectors}
        if len(weights) < len(detectors):
            raise ValueError("Two detectors have one name: give each once, and rename the folder of a training.")
        store.check_same({name: one for name, one in known.items() if name in weights}, weights)
        for detector in detectors:
            of_detector = "WHERE detector = ? AND scene < ? ORDER BY scene", [detector.name, len(scenes)]
            done = {one["scene"] for one in store.select("scenes", *of_detector)}
            for item in tqdm(range(len(scenes)), desc=detector.name, unit="scene"):
                if item in done:
                    continue
                mistakes = survey_scene(detector, scenes, item, score_threshold)
                with store.transaction():
                    if detector.name not in known:
                        row = {"detector": detector.name, "weights": weights[detector.name]}
                        store.insert("detectors", [row], ["detector"])
                    store.insert("scenes", [{"detector": detector.name, "scene": item}], ["detector", "scene"])
                    store.insert("mistakes", map(asdict, mistakes), ["detector", "scene", "row"])
                known[detector.name] = weights[detector.name]
            rows = store.select("mistakes", f"{of_detector[0]}, row", of_detector[1])
            found += [Mistake(**row | {"mended": bool(row["mended"])}) for row in rows]
    return found


@command
def main() -> None:
    """Survey bundled detectors on scenes with distractors and keep all their mistakes."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_chapters.errors.survey",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=user_path, help=".sqlite that keeps the mistakes; an interrupted run goes on")
    parser.add_argument("--csv", type=user_path, help="CSV of them, or .csv.gz, to write at the end")
    parser.add_argument("--detectors", nargs="+", required=True, help="names of load_detector, or folders of trainings")
    parser.add_argument("--number", type=int, default=300, help="how many scenes")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    parser.add_argument("--threshold", type=float, default=0.5, help="least score")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    arguments = parser.parse_args()
    check_threshold(arguments.threshold)
    scenes = Scenes("distractors", arguments.number, seed=arguments.seed)
    store_file(arguments.output)
    if arguments.csv is not None:
        output_file(arguments.csv)
    detectors = [load_detector(name, arguments.device) for name in arguments.detectors]
    mistakes = survey(arguments.output, detectors, scenes, arguments.threshold)
    if arguments.csv is not None:
        write_mistakes(mistakes, arguments.csv)
    print(f"{len(mistakes)} mistakes in {arguments.csv or arguments.output}")


if __name__ == "__main__":
    main()
