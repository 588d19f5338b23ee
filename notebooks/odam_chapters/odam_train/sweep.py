"""What moves the maps: Odam-Train's settings compared by short trainings from the same start on the same pictures.

``python -m odam_chapters.odam_train.sweep --help`` writes one row a variant, which notebook 06 reads.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odam_chapters.crowds.estimates import estimate_differences
from odam_chapters.crowds.rules import CLASSICAL, apply_rules
from odam_chapters.odam_train.separation import Survey, align_surveys, pair_candidates, survey
from odam_chapters.rows import read_records
from odam_chapters.statistics import relative_change
from odam_chapters.tables import write_text
from odam_lib.command import command
from odam_lib.datasets.cached import Cached
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import resolve_device
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.suppression import by_boxes
from odam_lib.files import output_file, output_folder, owned, user_path, write_rows
from odam_lib.kernels.nms import nms
from odam_lib.metrics.crowd_scores import miss_rate
from odam_lib.metrics.crowds import CrowdMatches, match_crowds
from odam_lib.metrics.detection import measure_ap
from odam_lib.training import DetectorSettings, train_detector

FROZEN = "backbone.stem,backbone.stages.stage1"
HELD_OUT_SEED = 1
"""Of the pictures that variants are compared on: others than those on which the chosen one is judged."""

WEIGHTS = {"fcos": 3.0, "faster-rcnn": 5.0}
"""Of Odam-Train's loss for each bundled detector; by the rows that this module writes it matters little."""

TRAINED = ODAM(smoothing=None, derivative="window")
"""The maps, of the class logit, that Odam-Train compares."""

CONTROL, LONG_CONTROL = "without", "without, three times as long"
VARIANTS: dict[str, dict[str, Any]] = {
    CONTROL: {"odam_weight": 0.0},
    "default": {},
    "weight 0.5": {"odam_weight": 0.5},
    "weight 1": {"odam_weight": 1.0},
    "weight 2": {"odam_weight": 2.0},
    "weight 5": {"odam_weight": 5.0},
    "first order": {"odam_order": "first"},
    "all negatives": {"odam_negatives": "all"},
    "all negatives, weight 1": {"odam_negatives": "all", "odam_weight": 1.0},
    "as the paper": {"odam_negatives": "all", "odam_weight": 1.0, "odam_target": "class", "odam_order": "first"},
    "consistency alone": {"odam_separation": 0.0},
    "separation alone": {"odam_consistency": 0.0},
    "second half only": {"odam_from": 0.5},
    "first half only": {"odam_until": 0.5},
    "10 positives a picture": {"odam_cap": 10},
    "clamped": {"odam_bound": "clamped"},
    "raster 16": {"odam_side": 16},
    "raster 64": {"odam_side": 64},
    LONG_CONTROL: {"odam_weight": 0.0, "epochs": 3},
    "three times as long": {"epochs": 3},
}
"""What differs from the default settings."""


@dataclass(frozen=True)
class Outcome:
    """What one variant reached on held-out crowds; changes are relative to the control of the same length.

    Attributes:
        variant: its name.
        people, pairs: whose maps, and how many pairs of maps, were compared.
        odi, correlation: means, see :class:`odam_chapters.odam_train.separation.Survey`, of the maps that are trained.
        odi_change, odi_low, odi_high, correlation_change, correlation_low, correlation_high: relative change and its
            95 % bootstrap interval over pictures.
        ap50: of the detector.
        same, same_low, same_high: mean correlation of two candidates of one person whose boxes overlap by more than
            half, and its 95 % interval, see :meth:`odam_chapters.odam_train.separation.CandidatePairs.agreement`.
        missed, missed_change, missed_low, missed_high: the miss rate by NMS, by how much it exceeds the control's, and
            the 95 % interval of that, pictures drawn anew for both together.
    """

    variant: str
    people: int
    pairs: int
    odi: float
    odi_change: float
    odi_low: float
    odi_high: float
    correlation: float
    correlation_change: float
    correlation_low: float
    correlation_high: float
    ap50: float
    same: float
    same_low: float
    same_high: float
    missed: float
    missed_change: float
    missed_low: float
    missed_high: float


def make_base_settings(detector: str, number: int, seed: int) -> DetectorSettings:
    """One pass over crowd scenes from the bundled detector that was trained without Odam-Train."""
    return DetectorSettings(
        detector=detector,
        dataset="crowd",
        start=f"{detector}-crowd",
        frozen=FROZEN,
        number=number,
        epochs=1,
        learning_rate=5e-4,
        odam_weight=WEIGHTS[detector],
        seed=seed,
    )


def sweep(
    base: DetectorSettings,
    variants: Sequence[str],
    folder: Path,
    pictures: Sequence[tuple[Tensor, dict[str, Tensor]]],
    path: Path,
    device: str = "auto",
) -> list[Outcome]:
    """Train every variant and judge it; what ``path`` holds already is not done again.

    Args:
        base: settings of the default variant.
        variants: names of ``VARIANTS``; the control of each must stand before it.
        folder: of the runs.
        pictures: held-out items.
        path: CSV of the rows, rewritten whole after each variant; no other run may write to it meanwhile.
        device: as for ``load_detector``.

    Returns:
        All that ``path`` holds, in the order of ``VARIANTS``.

    Raises:
        ValueError: ``path`` holds something else.
        OSError: it cannot be written, see :func:`~odam_lib.files.owned`.
    """
    scenes = Scenes("train", base.number, "crowd", base.size, base.seed)
    with owned(path):
        done = {outcome.variant: outcome for outcome in read_outcomes(path)} if path.is_file() else {}
        cached = Cached(scenes, folder / f"scenes-crowd-{base.size}-{base.number}-{base.seed}.pt")
        controls: dict[str, tuple[Survey, CrowdMatches]] = {}
        for name in variants:
            control = LONG_CONTROL if "three times" in name else CONTROL
            if name in done and name != control:
                continue
            run = output_folder(folder / name.replace(" ", "-").replace(",", ""))
            detector = train_detector(replace(base, **VARIANTS[name]), cached, run, device)
            seen = survey(detector, pictures, TRAINED, "logit")
            by_nms = {CLASSICAL: by_boxes(nms)}
            found = match_crowds(apply_rules(detector, pictures, by_nms)[CLASSICAL])
            controls.setdefault(control, (seen, found))
            numbers = [
                *_compare_maps(controls[control][0], seen),
                measure_ap(detector, pictures)["AP50"],
                *pair_candidates(detector, pictures, TRAINED).agreement(same=True)[0],
                miss_rate(found),
                *estimate_differences(found, controls[control][1])["MR"],
            ]
            done[name] = Outcome(name, len(seen.objects), len(seen.pairs), *(round(each, 4) for each in numbers))
            write_rows(path, [asdict(done[one]) for one in VARIANTS if one in done])
    return [done[one] for one in VARIANTS if one in done]


def _compare_maps(control: Survey, seen: Survey) -> Iterator[float]:
    """Of ODI and correlation the mean, the relative change and its interval."""
    for name in ("odi", "correlations"):
        yield float(getattr(seen, name).nanmean())
        yield from relative_change(*align_surveys(control, seen, name))


def read_outcomes(path: Path) -> list[Outcome]:
    """The rows that :func:`sweep` wrote.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file holds something else, or is damaged.
    """
    return read_records(path, "outcomes", "python -m odam_chapters.odam_train.sweep", Outcome)


def tabulate_outcomes(outcomes: Sequence[Outcome]) -> str:
    """A table: a line for each variant, changes with their intervals, what was not measured left empty."""
    rows: list[tuple[str, ...]] = [("variant", "ODI", "correlation", "AP50", "same person", "miss rate, points")]
    for one in outcomes:
        changes = (
            f"{change:+.0%} ({low:+.0%} to {high:+.0%})"
            for change, low, high in (
                (one.odi_change, one.odi_low, one.odi_high),
                (one.correlation_change, one.correlation_low, one.correlation_high),
            )
        )
        missed = (100 * each for each in (one.missed_change, one.missed_low, one.missed_high))
        same, told = f"{one.same:.2f}", "{:+.1f} ({:+.1f} to {:+.1f})".format(*missed)
        odi, correlation = changes
        if "without" in one.variant:
            odi, correlation, told = f"{one.odi:.2f}", f"{one.correlation:.2f}", f"{100 * one.missed:.1f}"
        known = [odi, correlation, f"{one.ap50:.3f}", *(text if "nan" not in text else "" for text in (same, told))]
        rows.append((one.variant, *known))
    longest = max(len(row[0]) for row in rows)
    return write_text(rows, -longest - 1, 22, 22, 7, 13, 22)


@command
def main() -> None:
    """Train and judge the variants of Odam-Train, one row each."""
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("output", type=user_path, help="CSV of the rows; an interrupted run goes on")
    parser.add_argument("--detector", default="fcos", choices=list(WEIGHTS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--number", type=int, default=4000, help="training scenes")
    parser.add_argument("--pictures", type=int, default=60, help="held-out scenes")
    parser.add_argument("--folder", type=user_path, default=Path("runs/odam_sweep"), help="of the trainings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    base = make_base_settings(arguments.detector, arguments.number, arguments.seed)
    resolve_device(arguments.device)
    folder, output = output_folder(arguments.folder), output_file(arguments.output)
    held_out = Scenes("val", arguments.pictures, "crowd", seed=HELD_OUT_SEED)
    pictures = [held_out[item] for item in range(arguments.pictures)]
    torch.manual_seed(arguments.seed)
    for outcome in sweep(base, arguments.variants, folder, pictures, output, arguments.device):
        print(outcome)


if __name__ == "__main__":
    main()
