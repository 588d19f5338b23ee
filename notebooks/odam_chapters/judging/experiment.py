"""The experiment that judges a map: a scene is drawn without one thing, and the same prediction is read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from matplotlib.figure import Figure
from torch import Tensor

from odam_lib.datasets.categories import original
from odam_lib.datasets.scenes.render import render
from odam_lib.detections import Detections
from odam_lib.evaluation.judges import Picture
from odam_lib.evaluation.planted import OWN, draw_removals, list_causes, measure_influences
from odam_lib.heatmaps import HeatMaps
from odam_lib.metrics.agreement import brightness_per_part
from odam_lib.metrics.faithfulness import best_score
from odam_lib.viz.drawing import write_label
from odam_lib.viz.grids import PictureGrid

COLOUR = 1
"""Of the object's box in every figure."""
MARGIN = 0.1
"""Shown around the box, as a share of its longer side: what is removed is to be seen."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """One detection, and the scene without each of R things: the object's own parts, other objects, the backdrop.

    Attributes:
        image: ``Tensor[3, H, W]``, the whole scene.
        detection: one row.
        names: of the R things.
        regions: bool ``Tensor[R, H, W]``, the pixels in which each is seen.
        pictures: ``Tensor[R, 3, H, W]``, the scene without it.
        boxes: ``Tensor[R, 4]``, what the same prediction says there.
        falls: ``Tensor[R]``, by which share of itself the score falls.
    """

    image: Tensor
    detection: Detections
    names: tuple[str, ...]
    regions: Tensor
    pictures: Tensor
    boxes: Tensor
    falls: Tensor

    @property
    def scores(self) -> Tensor:
        """``Tensor[R]``, what the same prediction has without each thing."""
        return self.detection.scores * (1 - self.falls)

    def place(self, part: str) -> int:
        """Which of the R things one of the object's own parts is."""
        return self.names.index(f"{OWN}{part}")

    def of_parts(self, numbers: Sequence[float]) -> dict[str, float]:
        """Those of R numbers that are of the object's own parts, by the part's name."""
        named = zip(self.names, numbers, strict=True)
        return {name.removeprefix(OWN): number for name, number in named if name.startswith(OWN)}


def choose_row(picture: Picture, wanted: int) -> int:
    """Which detection is of a true object; the first one where that object was not found.

    Raises:
        ValueError: nothing was found.
    """
    found = picture.own.tolist()
    if not found:
        raise ValueError("PICTURE shows no object that DETECTOR finds: choose another number.")
    return found.index(wanted) if wanted in found else 0


def take_apart(picture: Picture, row: int) -> Experiment:
    """Draw a scene without each thing that may matter to a detection, and read the same prediction again."""
    scene, trace = original(picture.dataset).scene(picture.item), picture.trace
    rendered, detection = render(scene), picture.detections[row : row + 1]
    index = rendered.instances[int(picture.own[row])].index
    removed = draw_removals(scene, rendered, [index])
    causes = list_causes(removed, index)
    pictures = torch.stack([removed[one.removal].image for one in causes])
    (lost,) = measure_influences(trace, detection, pictures)
    box = trace.boxes(replace(trace.candidates[trace.row_of(detection)], labels=detection.labels))[0]  # not clipped
    sides = (box[2:] - box[:2]).repeat(2) * box.new_tensor([1, 1, -1, -1])
    regions = torch.stack([one.region for one in causes]).to(trace.image.device)
    names = tuple(one.name for one in causes)
    return Experiment(trace.image, detection, names, regions, pictures, box + lost[:, 1:] * sides, lost[:, 0])


def measure_brightness(experiment: Experiment, maps: HeatMaps) -> list[float]:
    """How bright the class map of the same detection is in each thing, in multiples of its own mean."""
    return brightness_per_part(maps.select("class").to_image()[0], experiment.regions)[0].tolist()


def find_unseen(falls: Mapping[str, float], bright: Mapping[str, float]) -> str:
    """The part that matters most for how dark a map is in it: both as shares of the largest, one minus the other."""
    most, brightest = max(falls.values()), max(bright.values())
    return max(falls, key=lambda part: falls[part] / max(most, 1e-9) - bright[part] / max(brightest, 1e-9))


def show_experiment(experiment: Experiment, parts: Sequence[str], title: str) -> Figure:
    """The scene and the scene without some parts of the object, each with the box and score of the same prediction.

    Args:
        experiment: what was measured.
        parts: names of the object's own parts.
        title: the figure's message.
    """
    places = [experiment.place(part) for part in parts]
    headings = [f"without the {part}: {experiment.scores[at]:.2f}" for part, at in zip(parts, places)]
    detection = experiment.detection
    grid = PictureGrid(experiment.image, [write_label(detection, 0)], headings, detection.boxes, MARGIN)
    grid.draw(0, [grid.small[0], *(grid.views[0].cut(experiment.pictures[at]) for at in places)])
    for column, box in enumerate([detection.boxes[0], *experiment.boxes[places].cpu()]):
        grid.draw_box(0, column, box, COLOUR)
    grid.finish(title)
    return grid.figure


def show_changed(picture: Picture, row: int, pictures: Mapping[str, Tensor], title: str) -> Figure:
    """A picture changed in several ways, around a detection; above each the share of the score that is left.

    Args:
        picture: with the detection.
        row: which.
        pictures: ``Tensor[3, H, W]`` in [0, 1] of the same size, by what was done.
        title: the figure's message.
    """
    trace, detection = picture.trace, picture.detections[row : row + 1]
    found = trace.detector.predict(torch.stack([trace.image, *pictures.values()]))
    before, *left = (float(best_score(one, detection.boxes, detection.labels, detection.image_size)) for one in found)
    headings = [f"{name}: {share / before:.0%} left" for name, share in zip(pictures, left)]
    grid = PictureGrid(trace.image, [write_label(detection, 0)], headings, detection.boxes)
    grid.draw(0, [grid.small[0], *map(grid.views[0].cut, pictures.values())])
    for column in range(1 + len(pictures)):
        grid.draw_box(0, column, detection.boxes[0], COLOUR)
    grid.finish(title)
    return grid.figure
