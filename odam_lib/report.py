"""A page about what a detector found in pictures of yours, or got wrong: ``python -m odam_lib.report --help``."""

import argparse

from odam_lib.command import command
from odam_lib.datasets.arguments import add_dataset_arguments, add_split_argument, open_from
from odam_lib.datasets.categories import relabel
from odam_lib.detectors.zoo import load_detector
from odam_lib.files import owned, user_path
from odam_lib.viz.report import report_mistakes, report_pictures


@command
def main() -> None:
    """Write a page whose objects can be clicked, with tables, settings and hashes: one file, to be sent or attached."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_lib.report",
        description=main.__doc__,
        epilog="Give pictures, or a data set: its page shows the mistakes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("pictures", nargs="*", type=user_path, help="JPEG, PNG, ...")
    parser.add_argument("--out", type=user_path, default="report.html", help="page to write")
    parser.add_argument("--detector", default="yolov3-tiny", help="a name of load_detector or a training's folder")
    parser.add_argument("--layer", default=None, help="of the detector; its default if left out")
    parser.add_argument("--score-threshold", type=float, default=0.5, help="least score of a detection")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ...")
    add_dataset_arguments(parser, default="")
    add_split_argument(parser)
    parser.add_argument("--number", type=int, default=None, help="so many pictures of the data set; all if left out")
    asked = parser.parse_args()
    if bool(asked.pictures) == bool(asked.dataset):
        raise ValueError("Give pictures or --dataset, one of the two: see --help.")
    if asked.pictures and (asked.root or asked.annotations or asked.setting or asked.split or asked.number):
        raise ValueError("--root, --annotations, --setting, --split and --number are of a data set: leave them out.")
    with owned(asked.out):
        if asked.pictures:
            detector = load_detector(asked.detector, asked.device)
            report_pictures(detector, asked.pictures, asked.out, asked.layer, asked.score_threshold)
        else:
            dataset = open_from(asked, asked.number)
            detector = load_detector(asked.detector, asked.device)
            dataset = relabel(dataset, detector.categories)
            report_mistakes(detector, dataset, asked.dataset, asked.out, asked.layer, asked.score_threshold)
    print(f"wrote {asked.out}")


if __name__ == "__main__":
    main()
