"""What ``python -m odam_lib.evaluation`` does."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from odam_lib.cluster import LOCAL
from odam_lib.command import command
from odam_lib.datasets.arguments import add_dataset_arguments, add_split_argument, open_from
from odam_lib.datasets.categories import original, relabel, unknown_classes
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.cluster import Workers, evaluate_by_workers
from odam_lib.evaluation.judges import (
    Discrimination,
    Faithfulness,
    Judge,
    Localization,
    PlantedCauses,
    SignedFaithfulness,
    choose_judges,
)
from odam_lib.evaluation.methods import SMOOTHING_ABLATION, comparison, on_demand
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import evaluate
from odam_lib.evaluation.store import begin_with
from odam_lib.files import user_path
from odam_lib.row_store import store_file


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate the compared methods on a data set, by default held-out scenes, and keep every row."""
    found = _evaluate(_parser().parse_args(arguments))
    print(f"{found.objects - found.undetected} of {found.objects} objects had a detection to explain")
    for line in found.table():
        print("{method:18} {metric:18} n {n:4} {mean:8.3f} ({low:.3f} to {high:.3f})".format_map(line))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m odam_lib.evaluation",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=user_path, help=".sqlite that keeps the rows; an interrupted run goes on")
    parser.add_argument("--begin-with", type=user_path, metavar="ROWS", help="rows to go on from, such as bundled ones")
    parser.add_argument("--detector", default="fcos-scenes", help="a name of load_detector or a training's folder")
    parser.add_argument("--layer", default=None, help="of the detector; its default if left out")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=list(comparison()),
        choices=[*comparison(), *on_demand(), *SMOOTHING_ABLATION],
        metavar="METHOD",
    )
    add_dataset_arguments(parser)
    add_split_argument(parser)
    parser.add_argument("--objects", type=int, default=300, help="at least so many are explained")
    parser.add_argument("--masks", type=int, default=1000, help="of D-RISE")
    parser.add_argument("--steps", type=int, default=6, help="of deletion and insertion")
    parser.add_argument("--least-iou", type=float, default=0.5, help="of a detection with its object")
    parser.add_argument("--score-threshold", type=float, default=0.5, help="least score of a detection")
    parser.add_argument("--seed", type=int, default=0, help="of masks, noise and ties")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ...")
    shared = parser.add_argument_group("many processes, by Ray (pip install 'odam_lib[cluster]')")
    shared.add_argument("--workers", type=int, help="so many share the pictures; one process without Ray if left out")
    shared.add_argument("--address", default=LOCAL, help="local, auto, or HOST:PORT of a cluster's head node")
    shared.add_argument("--cpus-per-worker", type=int, default=1, help="threads of each")
    shared.add_argument("--gpus-per-worker", type=float, help="perhaps a share; 1 where there are any if left out")
    return parser


def _evaluate(asked: argparse.Namespace) -> Evaluation:
    if asked.workers is None and (asked.address, asked.cpus_per_worker, asked.gpus_per_worker) != (LOCAL, 1, None):
        raise ValueError("An address, or CPUs or GPUs of workers, are for --workers: give their number too.")
    dataset = open_from(asked)
    known = comparison(asked.masks, asked.seed) | on_demand(asked.masks, asked.seed) | SMOOTHING_ABLATION
    methods = {name: known[name] for name in asked.methods}
    store_file(asked.output)
    if asked.begin_with is not None:
        if not asked.begin_with.is_file():
            raise FileNotFoundError(f"There are no rows to begin with at {asked.begin_with}: check the path.")
        begin_with(asked.begin_with, asked.output)
    detector = load_detector(asked.detector, device=asked.device)
    dataset = relabel(dataset, detector.categories)
    about = (
        dataset,
        methods,
        _judges(asked, dataset),
        asked.objects,
        asked.least_iou,
        asked.score_threshold,
        asked.layer,
        asked.output,
    )
    if asked.workers is None:
        return evaluate(detector, *about)
    workers = Workers(asked.workers, asked.cpus_per_worker, asked.gpus_per_worker, asked.address)
    name = detector.file or asked.detector  # which workers find from anywhere
    return evaluate_by_workers(partial(load_detector, name, device=asked.device), *about, workers=workers)


def _judges(asked: argparse.Namespace, dataset: Any) -> tuple[Judge, ...]:
    wanted: list[Judge] = [Faithfulness(asked.steps, asked.seed), Localization(), Discrimination()]
    if getattr(original(dataset), "setting", None) != "crowd":  # where a person has too many causes to remove each
        wanted = [wanted[0], SignedFaithfulness(asked.steps, asked.seed), *wanted[1:], PlantedCauses()]
    judges, told = choose_judges(dataset, wanted)
    for sentence in told:
        print(sentence)
    if unknown := unknown_classes(dataset):
        print(f"{asked.detector} cannot detect: {', '.join(unknown)}")
    return judges
