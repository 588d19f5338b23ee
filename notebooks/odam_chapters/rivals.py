"""Two objects of one class as ODAM and its rivals explain them, drawn once: some of them take minutes for a picture.

Command: ``python -m odam_chapters.rivals notebooks/figures/rivals.png``.
"""

import argparse

from torch import Tensor
from torch.nn.functional import avg_pool2d

from odam_chapters.pictures import crop, save_small, show_columns
from odam_lib.command import command
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.methods import comparison, on_demand
from odam_lib.files import output_file, user_path
from odam_lib.heatmaps import HeatMaps

AVERAGED = 9
"""Pixels of the square over which SmoothGrad's values, one for each pixel, are averaged: single ones are not seen."""
SHOWN = ("ODAM", "LayerCAM", "SSGrad-CAM++", "G-CAME", "Grad-CAM", "SmoothGrad", "D-RISE", "D-CLOSE", "BBAM")


@command
def main() -> None:
    """Draw the class maps of every method for two objects of one class in a held-out scene."""
    parser = argparse.ArgumentParser(prog="python -m odam_chapters.rivals", description=main.__doc__)
    parser.add_argument("output", type=user_path, help="PNG of at most 64 colours")
    parser.add_argument("--detector", default="faster-rcnn-scenes")
    parser.add_argument("--layer", default="fpn")
    parser.add_argument("--scene", type=int, default=8, help="which of the held-out scenes")
    parser.add_argument("--methods", nargs="+", default=SHOWN, choices=SHOWN, metavar="METHOD")
    asked = parser.parse_args()
    output_file(asked.output)
    known = comparison() | on_demand()
    trace = load_detector(asked.detector, "cpu").trace(Scenes("val", asked.scene + 1)[asked.scene][0], asked.layer)
    found = trace.detections(0.5)
    if not len(found):
        raise ValueError(f"{asked.detector} finds nothing in scene {asked.scene}: choose another one.")
    two = found[found.labels == found.labels.mode().values][:2]
    columns = {_head(name): _spread(known[name](trace, two, ("class",))) for name in asked.methods}
    title = f"Class maps of {asked.detector} by ODAM and its rivals"
    save_small(show_columns(*crop(trace.image.cpu(), two, columns, 0.1), title, margin=None), asked.output)


def _head(name: str) -> str:
    return f"{name}, mean of {AVERAGED} x {AVERAGED} pixels" if name == "SmoothGrad" else name


def _spread(one: HeatMaps) -> Tensor:
    """The maps ``Tensor[N, H, W]`` at the pixels of the picture."""
    spread = one.to_image()[:, 0]
    if one.method != "SmoothGrad":
        return spread
    return avg_pool2d(spread, AVERAGED, stride=1, padding=AVERAGED // 2)


if __name__ == "__main__":
    main()
