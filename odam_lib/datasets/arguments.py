"""What every command line with data says about it, in the same words."""

import argparse
from typing import Any

from odam_lib.datasets.layouts import SPLITS
from odam_lib.datasets.opening import KINDS, MIXED, SIDE, open_dataset, open_parts
from odam_lib.datasets.scenes import SETTINGS


def add_dataset_arguments(parser: argparse.ArgumentParser, default: str = "scenes") -> None:
    """Let a command line choose its data: ``--dataset``, ``--root``, ``--annotations`` and ``--setting``.

    Args:
        parser: of the command line.
        default: data set.
    """
    parser.add_argument(
        "--dataset",
        default=default,
        metavar="DATA",
        help=f"{', '.join(KINDS)}; a setting of the scenes; or a PATH: a JSON in COCO's format, a data.yaml, or a "
        "folder in the layout of COCO, CrowdHuman, VOC or YOLO",
    )
    parser.add_argument(
        "--root", default="", help="its folder: that of the pictures for a JSON; left out: where it is fetched to"
    )
    parser.add_argument(
        "--annotations", default="", help="of own data: JSON of coco, XML folder of voc, class names of yolo"
    )
    parser.add_argument("--setting", choices=(MIXED, *SETTINGS), help="of the scenes; mixed if left out")


def add_split_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command line choose a part of its data: ``--split``."""
    parser.add_argument(
        "--split",
        default="",
        choices=SPLITS,
        help="of data that has parts; left out: the held-out one, and all of other data",
    )


def open_from(arguments: argparse.Namespace, number: int | None = None, seed: int = 0) -> Any:
    """The data set that a command line with :func:`add_split_argument` chose.

    Args:
        arguments: as they were parsed.
        number, seed: see :func:`~odam_lib.datasets.opening.open_dataset`.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: see there.
    """
    places = (arguments.root, arguments.annotations, arguments.setting)
    return open_dataset(arguments.dataset, *places, arguments.split, number, seed=seed)


def open_parts_from(
    arguments: argparse.Namespace, train: int, held_out: int, size: int = SIDE, seed: int = 0
) -> tuple[Any, Any]:
    """The pictures to train on and those to measure on that a command line chose.

    Args:
        arguments: as they were parsed.
        train, held_out, size, seed: see :func:`~odam_lib.datasets.opening.open_parts`.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: see there.
    """
    places = (arguments.root, arguments.annotations, arguments.setting)
    return open_parts(arguments.dataset, train, held_out, *places, size, seed)


def name_drawn(arguments: argparse.Namespace) -> str:
    """The data set that a command line chose, in one word: that of their setting for scenes."""
    return arguments.setting or MIXED if arguments.dataset == "scenes" else arguments.dataset
