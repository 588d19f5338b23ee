"""Does a detector use the other objects that its class maps light up? One row a detection and other object.

A map that lies on the object in front is wrong only if that object does not raise the score. So it is taken out of the
scene, and what the score loses is compared with the share of the map on it. ``python -m odam_chapters.judging.leaks
--help`` makes the rows that are bundled under ``data/evaluation``.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import rankdata
from torch import Tensor
from torchvision.transforms.functional import to_tensor
from tqdm import tqdm

from odam_chapters.judging.features import silence
from odam_chapters.rows import Kind, hash_of, read_rows, refuse_other_weights
from odam_lib import files
from odam_lib.command import command
from odam_lib.datasets.scenes import Scene, Scenes, render
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.judges import Picture
from odam_lib.evaluation.planted import measure_influences
from odam_lib.evaluation.rows import Row
from odam_lib.evaluation.runs import open_picture
from odam_lib.explainers.controls import RandomMap
from odam_lib.explainers.odam import ODAM
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.intervals import Estimate, bootstrap, mean_interval
from odam_lib.metrics.localization import energy_inside
from odam_lib.viz.drawing import write_label
from odam_lib.viz.grids import PictureGrid
from odam_lib.viz.plots import show_detections

CHANGES = ("removed", "repainted", "silenced")
"""What is done to the other object. ``removed``: the scene is drawn without it and its shadow, so that what it hid is
seen. ``repainted``: its visible pixels are those of the empty scene, all others stay, and with them a thin rim where
its colour is blended in. ``silenced``: the picture stays, but the features beneath its pixels are zero, which is the
question that the map itself answers to first order."""
LEAST_COVER = 0.05
"""Share of a true box from which on another object covers it."""
COVER_BANDS = (0.0, LEAST_COVER, 0.2, 0.4, 1.0)
"""Limits of the share of a box that others cover."""
ENERGY_BANDS = (0.0, 0.05, 0.15, 0.3, 1.0)
"""Limits of the share of a map's energy on another object."""
DRAWS = 300
"""Of the pictures, for the interval of a correlation: each draw ranks anew."""
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("detector", "weights"), str),
    **dict.fromkeys(("image_id", "object", "label"), int),
    **dict.fromkeys(("score", "own"), float),
    **dict.fromkeys(("other", "other_label", "in_front"), int),
    **dict.fromkeys(("cover", "energy", "random"), float),
    **dict.fromkeys(CHANGES, lambda text: float(text or "nan")),
}
"""Columns, and what reads their text: of the detection its detector and the beginning of the hash of its weights, its
picture, object, label, score and the share of its class map on its own mask; of the other object its number, label,
whether it stands in front, the share of the true box that it covers, the shares of the class map and of a random map on
it; and by which share of itself the score falls with each change, empty where it covers less than ``LEAST_COVER``."""


@dataclass(frozen=True, eq=False)
class Covered:
    """A scene, and its pictures without the objects that cover others.

    Attributes:
        cover: ``Tensor[M, M]``, which share of the true box of each of M objects is covered by each one's visible mask.
        pictures: ``Tensor[2, 3, H, W]`` in [0, 1], with the object removed and repainted, by the number of each that
            covers ``LEAST_COVER`` of another one's box.
    """

    cover: Tensor
    pictures: dict[int, Tensor]


def uncover(scene: Scene) -> Covered:
    """Take each object that covers another one out of a scene."""
    rendered = render(scene)
    masks = torch.stack([torch.from_numpy(one.mask) for one in rendered.instances])
    boxes = torch.tensor([one.box_visible for one in rendered.instances])
    cover = energy_inside(box_regions(boxes, (scene.height, scene.width)).float()[:, None], masks)
    image, empty = to_tensor(rendered.image), to_tensor(render(replace(scene, objects=())).image)
    others = torch.nonzero((cover * (1 - torch.eye(len(masks))) >= LEAST_COVER).any(dim=0)).flatten().tolist()
    return Covered(
        cover,
        {
            other: torch.stack(
                [
                    to_tensor(render(scene.without(rendered.instances[other].index)).image),
                    torch.where(masks[other], empty, image),
                ]
            )
            for other in others
        },
    )


def judge_leaks(picture: Picture, covered: Covered) -> Iterator[Row]:
    """A row for each detection of a picture and each other object, without the columns that name the detector."""
    trace, found, labels = picture.trace, picture.detections, picture.target["labels"].tolist()
    masks = picture.target["masks"].to(found.boxes.device)
    falls = {}
    for other, pictures in covered.pictures.items():
        seen, felt = measure_influences(trace, found, pictures)[..., 0], silence(trace, found, masks[other])
        falls[other] = torch.cat([seen, felt[:, None]], dim=1)
    energy, noise = (
        energy_inside(method(trace, found, ("class",)).to_image(), masks) for method in (ODAM(), RandomMap())
    )
    for row, own in enumerate(picture.own.tolist()):
        for other in (one for one in range(len(masks)) if one != own):
            numbers = {
                "score": found.scores[row],
                "own": energy[row, own],
                "cover": covered.cover[own, other],
                "energy": energy[row, other],
                "random": noise[row, other],
            }
            names = {"image_id": int(picture.target["image_id"]), "object": own, "label": labels[own]}
            names |= {"other": other, "other_label": labels[other], "in_front": int(other > own)}
            measured = covered.cover[own, other] >= LEAST_COVER
            lost = dict(zip(CHANGES, falls[other][row])) if measured else {}
            yield names | {name: float(f"{float(number):.3g}") for name, number in (numbers | lost).items()}


def read_leaks(path: Path) -> pd.DataFrame:
    """The rows that :func:`main` wrote.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file holds something else, is damaged, or was made with other weights of a detector than those
            here.
    """
    made_by = "python -m odam_chapters.judging.leaks"
    rows = read_rows(path, "rows of leaks", made_by, KINDS)
    refuse_other_weights(path, made_by, zip(rows["detector"], rows["weights"]))
    return rows


def count_specific(rows: pd.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    """How many class maps have more energy on their own object than on any of some others, by how much these cover.

    Args:
        rows: of :func:`read_leaks`, all or those of some other objects, such as those of the same class.

    Returns:
        (such maps, maps) by detector and ``COVER_BANDS`` of the share of the box that all these others cover together.
    """
    each = rows.groupby(["detector", "image_id", "object"])
    maps = each.agg({"own": "first", "energy": "max", "cover": "sum"}).reset_index()
    maps["band"], maps["wins"] = name_bands(maps["cover"], COVER_BANDS), maps["own"] > maps["energy"]
    counted = maps.groupby(["detector", "band"], observed=False)["wins"].agg(["sum", "size"])
    return {key: (int(wins), int(number)) for key, wins, number in counted.itertuples()}


def name_bands(shares: pd.Series, limits: Sequence[float]) -> pd.Series:
    """In which band each share lies, such as ``5-20 %``; the lower limit belongs to it."""
    names = [f"{100 * low:.0f}-{100 * high:.0f} %" for low, high in pairwise(limits)]
    return pd.cut(shares.clip(upper=limits[-1] - 1e-9), list(limits), right=False, labels=names)


def relate(rows: pd.DataFrame, change: str, energy: str = "energy") -> Estimate:
    """Does the score fall more where more of the map lies on the other object, among objects that cover as much?

    Args:
        rows: some of :func:`read_leaks` of which the changes were measured.
        change: one of ``CHANGES``.
        energy: the column of the map's share.

    Returns:
        Spearman's rank correlation of the share with the score's fall, given the cover (the first-order partial
        correlation of the ranks), and its 95 % interval over pictures; NaN where it is undefined.
    """
    table = torch.tensor(rows[[energy, change, "cover"]].to_numpy(float))
    return Estimate(correlate_given(table), *bootstrap(correlate_given, table, picture_of(rows), DRAWS))


def correlate_given(table: Tensor) -> float:
    """The rank correlation of the first two columns of ``Tensor[n, 3]``, given the third; NaN where it is undefined."""
    one, two, _ = torch.corrcoef(torch.from_numpy(rankdata(table.numpy(), axis=0)).T)
    scale = ((1 - one[2] ** 2) * (1 - two[2] ** 2)).sqrt()
    return float((one[1] - one[2] * two[2]) / scale)


def picture_of(rows: pd.DataFrame) -> Tensor:
    """The picture of each row, ``Tensor[n]``."""
    return torch.tensor(rows["image_id"].to_numpy(int))


def tabulate_falls(rows: pd.DataFrame) -> list[Row]:
    """The mean fall of the score with each change by the share of the map on the other object, for ``show_intervals``.

    Args:
        rows: some of :func:`read_leaks` of which the changes were measured.

    Returns:
        A line for each detector and band of ``ENERGY_BANDS`` (together ``method``) and each change (``metric``): ``n``,
        ``mean``, ``low`` and ``high`` of a 95 % interval over pictures.
    """
    lines: list[Row] = []
    banded = rows.assign(band=name_bands(rows["energy"], ENERGY_BANDS))
    for (name, band), some in banded.groupby(["detector", "band"], observed=False):
        for change in CHANGES:
            falls = torch.tensor(some[change].to_numpy(float))
            low, high = mean_interval(falls, picture_of(some))
            number = {"n": len(some), "mean": float(falls.mean()), "low": low, "high": high}
            lines.append({"method": f"{name}, {band}", "metric": change, **number})
    return lines


def find_leaks(rows: pd.DataFrame, number: int) -> list[int]:
    """The pictures of the maps that lie most on another object instead of their own, the worst first, each once."""
    leaked = (rows["energy"] - rows["own"]).sort_values(ascending=False)
    return rows.loc[leaked.index, "image_id"].unique()[:number].tolist()


def show_leak(picture: Picture, covered: Covered) -> Figure:
    """The class map that leaks most, and the picture with the object that it leaks to removed and repainted.

    Above each stands the score of the same prediction.
    """
    trace, image = picture.trace, picture.trace.image
    pairs = [row for row in judge_leaks(picture, covered) if row.keys() >= set(CHANGES)]
    if not pairs:
        return show_detections(image, picture.detections, "No detected object is covered by another one here")
    worst = max(pairs, key=lambda row: float(row["energy"]) - float(row["own"]))
    place = picture.own.tolist().index(worst["object"])
    detection, score = picture.detections[place : place + 1], float(worst["score"])
    told = [f"other object {change}: score {score * (1 - float(worst[change])):.2f}" for change in CHANGES[:2]]
    heading = f"class map: {worst['energy']:.0%} on the other object, {worst['own']:.0%} on its own"
    grid = PictureGrid(image, [write_label(detection, 0)], [heading, *told], detection.boxes)
    changed = [grid.views[0].cut(one) for one in covered.pictures[int(worst["other"])]]
    maps = ODAM()(trace, detection, ("class",)).normalized()
    grid.draw(0, [grid.small[0], *grid.blends(0, maps[0]), *changed])
    for column in range(4):
        grid.draw_box(0, column, detection.boxes[0], 0)
    grid.finish("Does the detector use the object that this map lies on?")
    return grid.figure


@command
def main() -> None:
    """Explain what is found in held-out scenes, take every other object away, and write the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_chapters.judging.leaks",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=files.user_path, help="CSV of the rows, compressed if it ends in .gz")
    parser.add_argument("--detectors", nargs="+", default=["fcos-scenes", "retinanet-scenes", "faster-rcnn-scenes"])
    parser.add_argument("--number", type=int, default=200, help="how many scenes")
    asked = parser.parse_args()
    scenes, weights = Scenes("val", asked.number), {name: hash_of(name) for name in asked.detectors}
    with files.owned(asked.output):
        detectors = [load_detector(name) for name in asked.detectors]
        rows: dict[str, list[Row]] = {name: [] for name in weights}
        for item in tqdm(range(len(scenes)), unit="scene"):
            covered = uncover(scenes.scene(item))
            for detector in detectors:
                picture = open_picture(detector, scenes, item, *scenes[item], layer="fpn")
                about: Row = {"detector": detector.name, "weights": weights[detector.name]}
                rows[detector.name] += [about | row for row in judge_leaks(picture, covered)]
        files.write_rows(asked.output, [row for some in rows.values() for row in some], list(KINDS))


if __name__ == "__main__":
    main()
