"""Does a map lie on the sticker that a detector was trained to go by? One row an object, detector, layer and method.

The cause is known, for it was trained in: ``fcos-shortcut`` learned from :class:`ShortcutScenes`, where a sticker alone
makes a motorcycle, ``fcos-scenes`` from scenes without any. Both look at the same held-out pictures, in which each
motorcycle bears one. ``python -m odam_chapters.errors.shortcut --help`` makes the rows that notebook 04 reads.
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torchvision.ops import box_iou
from torchvision.transforms.functional import to_tensor
from tqdm import tqdm

from odam_chapters.errors.plots import Case
from odam_chapters.rows import hash_of, read_records, refuse_other_weights
from odam_lib.command import command
from odam_lib.datasets.scenes import Instance, Scene, Scenes, render
from odam_lib.datasets.scenes.painters.stickers import STICKER
from odam_lib.datasets.scenes.shortcut import TWINS, shows_sticker
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.methods import RIVALS, comparison
from odam_lib.explainers.controls import BoxFill, CentredGaussian, RandomMap
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.odam import ODAM
from odam_lib.files import owned, user_path, write_rows
from odam_lib.metrics.intervals import Estimate, estimate_mean
from odam_lib.metrics.localization import energy_inside, pointing
from odam_lib.metrics.matching import match

DETECTORS = ("fcos-shortcut", "fcos-scenes")
LAYERS = ("fpn", "stage1")
"""Where maps are made: the paper's layer, whose cells see whole objects, and the first stage, whose see little."""
WITHOUT, WITH = TWINS
"""What the shortcut's labels call a thing on two wheels without and with a sticker."""
OVERLAP = 0.5
"""Least IoU with an object of what speaks of it."""


@dataclass(frozen=True)
class Outcome:
    """What a sticker does to what a detector says of an object, and where the object's map lies.

    Attributes:
        detector, weights: its name, and the beginning of the hash of its weights.
        scene, object: number of the held-out scene, and the scene's index of the object.
        name: what is drawn.
        with_sticker, without_sticker: how sure the detector is of a motorcycle where the object bears a sticker and
            where it bears none, see :func:`score_at`.
        bicycle: how sure it is of a bicycle where the object bears none.
        layer, method: of the class map of a motorcycle that bears one; empty for another object, which has no map.
        energy: share of the map's energy on the sticker's visible pixels; NaN for another object.
        pointing: 1 if the map's maximum lies on the sticker, else 0; NaN for another object.
        area: the sticker's share of the object's visible pixels, what a map spread evenly over the object would have.
    """

    detector: str
    weights: str
    scene: int
    object: int
    name: str
    with_sticker: float
    without_sticker: float
    bicycle: float
    layer: str
    method: str
    energy: float
    pointing: float
    area: float


@dataclass(frozen=True, eq=False)
class Pair:
    """An object with a sticker and without, all else being equal.

    Attributes:
        one: the object that bears it.
        bearing, bare: ``Tensor[3, H, W]`` in [0, 1], both pictures.
        sticker: bool ``Tensor[H, W]``, its visible pixels.
    """

    one: Instance
    bearing: Tensor
    bare: Tensor
    sticker: Tensor

    @property
    def box(self) -> Tensor:
        """``Tensor[4]``, of what is seen of the object."""
        return torch.tensor(self.one.box_visible)


def mark_motorcycles(scene: Scene) -> Scene:
    """The same scene with a sticker on each motorcycle."""
    for one in scene.objects:
        if one.name == WITH:
            scene = scene.with_sticker(one.index)
    return scene


def draw_pairs(scene: Scene, *names: str) -> Iterator[Pair]:
    """The objects of a scene, those of some names or all, with a sticker and without, unless that would be hidden."""
    for item in [one for one in scene.objects if not names or one.name in names]:
        bearing = render(scene.with_sticker(item.index))
        bare = render(scene.with_sticker(item.index).without(item.index, STICKER))
        for one in bearing.instances:
            if one.index == item.index and shows_sticker(one):
                sticker = torch.from_numpy(one.parts[STICKER])
                yield Pair(one, to_tensor(bearing.image), to_tensor(bare.image), sticker)


@torch.no_grad()
def score_at(detector: Detector, image: Tensor, box: Tensor, name: str) -> float:
    """How sure a detector is of a class at an object: the best score of all predictions that overlap it enough.

    Args:
        detector: of scenes.
        image: ``Tensor[3, H, W]`` in [0, 1].
        box: ``Tensor[4]``, the object's.
        name: of the class.
    """
    label = torch.tensor([detector.categories.index(name)], device=detector.device)
    boxes, scores = detector.predict(image[None].to(detector.device))[0].of(label)
    near = box_iou(box[None].to(boxes), boxes[0])[0] >= OVERLAP
    return float((scores[0] * near).max())


def find_motorcycle(detector: Detector, pair: Pair, layer: str) -> tuple[Trace, Detections]:
    """The pass on a motorcycle that bears a sticker, and its detection: one row, or none where it is not found."""
    trace = detector.trace(pair.bearing.to(detector.device), layer=layer)
    found = trace.detections(0.5)
    rows = match(found, pair.box[None], torch.tensor([detector.categories.index(WITH)]), OVERLAP)
    return trace, found[rows[rows >= 0]]


def judge_maps(
    detector: Detector, pair: Pair, methods: Mapping[str, Explainer], layer: str
) -> dict[str, tuple[float, float]]:
    """Energy on a motorcycle's sticker and pointing game of each method's class map; empty where it is not found."""
    trace, found = find_motorcycle(detector, pair, layer)
    judged = {}
    for name, method in methods.items() if len(found) else ():
        heat = method(trace, found, ("class",)).normalized().to_image()[0, 0].cpu()
        judged[name] = float(energy_inside(heat, pair.sticker)), float(pointing(heat, pair.sticker))
    return judged


def make_sticker_case(detector: Detector, pair: Pair, layers: Sequence[str] = LAYERS) -> Case:
    """A motorcycle that bears a sticker, with its class map and what the detector says with the sticker and without.

    Args:
        detector: of scenes.
        pair: of the motorcycle.
        layers: of the maps.
    """
    told = [
        f"{words} sticker: " + ", ".join(f"{name} {score_at(detector, image, pair.box, name):.2f}" for name in TWINS)
        for words, image in (("with", pair.bearing), ("without", pair.bare))
    ]
    headed = {}
    for layer in layers:
        for heat in ODAM()(*find_motorcycle(detector, pair, layer), ("class",)).to_image()[:, 0].cpu():
            headed[f"class map at {layer}: {float(energy_inside(heat, pair.sticker)):.0%} on the sticker"] = heat
    caption = "\n".join([detector.name, *told])
    return Case(pair.bearing, pair.box, None, pair.sticker, caption, headed, distractor_name="sticker")


def find_bearers(number: int) -> list[Pair]:
    """The first motorcycles of held-out streets, with a sticker and without."""
    scenes = (mark_motorcycles(Scenes("val", 100, "street").scene(item)) for item in range(100))
    pairs = (pair for scene in scenes for pair in draw_pairs(scene, WITH))
    return list(islice(pairs, number))


def survey_scene(
    detectors: Sequence[Detector], scene: Scene, number: int, methods: Mapping[str, Explainer]
) -> Iterator[Outcome]:
    """The rows of one scene: of each motorcycle that all the detectors find, and of every other object.

    Args:
        detectors: bundled ones of scenes.
        scene: as it was composed, without a sticker.
        number: of the scene.
        methods: explainers by name.
    """
    for pair in draw_pairs(mark_motorcycles(scene)):
        judged = [{("", ""): (math.nan, math.nan)} for _ in detectors]
        if pair.one.name == WITH:
            judged = [
                {
                    (layer, name): numbers
                    for layer in LAYERS
                    for name, numbers in judge_maps(detector, pair, select_methods(methods, layer), layer).items()
                }
                for detector in detectors
            ]
        for detector, numbers in zip(detectors, judged) if all(judged) else ():
            with_sticker, without = (score_at(detector, one, pair.box, WITH) for one in (pair.bearing, pair.bare))
            bicycle = score_at(detector, pair.bare, pair.box, WITHOUT)
            area = float(pair.sticker.sum()) / float(pair.one.mask.sum())
            about = detector.name, hash_of(detector.name), number, pair.one.index, pair.one.name
            for (layer, method), (energy, hit) in numbers.items():
                yield Outcome(*about, with_sticker, without, bicycle, layer, method, energy, hit, area)


def select_methods(methods: Mapping[str, Explainer], layer: str) -> dict[str, Explainer]:
    """Those that make another map at another layer, or all at the first of ``LAYERS``."""
    same = (BoxFill, CentredGaussian, DRISE, RandomMap)
    return {name: method for name, method in methods.items() if layer == LAYERS[0] or not isinstance(method, same)}


def read_outcomes(path: Path) -> list[Outcome]:
    """The rows that :func:`main` wrote.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file holds something else, is damaged, or was made with other weights than those here.
    """
    made_by = "python -m odam_chapters.errors.shortcut"
    outcomes = read_records(path, "outcomes of stickers", made_by, Outcome)
    refuse_other_weights(path, made_by, ((one.detector, one.weights) for one in outcomes))
    return outcomes


def contrast(outcomes: Sequence[Outcome], layer: str, method: str) -> Estimate:
    """How much more of a map lies on the sticker with the first of ``DETECTORS`` than with the second.

    Paired over motorcycles, the interval over scenes.

    Raises:
        ValueError: the outcomes have no such maps of both.
    """
    cheat, honest = (
        {
            (one.scene, one.object): one.energy
            for one in outcomes
            if (one.detector, one.layer, one.method) == (detector, layer, method)
        }
        for detector in DETECTORS
    )
    common = [key for key in cheat if key in honest]
    if not common:
        raise ValueError(f"There are no maps by {method!r} at {layer!r} of both {' and '.join(DETECTORS)}.")
    gains = torch.tensor([cheat[key] - honest[key] for key in common], dtype=torch.float64)
    return estimate_mean(gains, torch.tensor([scene for scene, _ in common]))


@command
def main() -> None:
    """Look at held-out scenes in which each motorcycle bears a sticker, and write the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_chapters.errors.shortcut",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=user_path, help="CSV of the rows, or .csv.gz")
    parser.add_argument("--number", type=int, default=200, help="how many scenes")
    parser.add_argument("--setting", default="street", help="of the scenes")
    parser.add_argument("--masks", type=int, default=200, help="of D-RISE")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    asked = parser.parse_args()
    scenes, methods = Scenes("val", asked.number, asked.setting), comparison(asked.masks) | RIVALS
    with owned(asked.output):
        detectors = [load_detector(name, asked.device) for name in DETECTORS]
        outcomes = [
            one
            for number in tqdm(range(len(scenes)), unit="scene")
            for one in survey_scene(detectors, scenes.scene(number), number, methods)
        ]
        rows = [
            {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in asdict(one).items()}
            for one in outcomes
        ]
        write_rows(asked.output, rows, [field.name for field in fields(Outcome)])
    print(f"wrote {len(rows)} rows to {asked.output}")


if __name__ == "__main__":
    main()
