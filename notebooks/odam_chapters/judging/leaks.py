"""Does a detector use the other objects that its class maps light up? One row a detection and other object.

A map that lies on the object in front is wrong only if that object does not raise the score. So it is taken out of the
scene, and what the score loses is compared with the share of the map on it. ``python -m odam_chapters.judging.leaks
--help`` makes the rows that are bundled under ``data/evaluation``.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import rankdata
from torch import Tensor
from torchvision.transforms.functional import to_tensor
from tqdm import tqdm

from odam_chapters.rows import read_rows as read_csv
from odam_lib import files
from odam_lib.command import command
from odam_lib.datasets.scenes import Scene, Scenes, render
from odam_lib.detections import Detections
from odam_lib.detectors.weights import read_version
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.judges import Picture
from odam_lib.evaluation.planted import measure_influences
from odam_lib.evaluation.runs import open_picture
from odam_lib.explainers.controls import RandomMap
from odam_lib.explainers.odam import ODAM
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.intervals import Estimate, bootstrap, mean_interval
from odam_lib.metrics.localization import energy_inside
from odam_lib.viz.drawing import blend, resize
from odam_lib.viz.grids import PictureGrid

CHANGES = ("removed", "repainted", "flattened")
"""What is done to the other object. ``removed``: the scene is drawn without it and its shadow, so that what it hid is
seen. ``repainted``: its visible pixels are those of the empty scene. ``flattened``: they have its mean colour. The last
two leave every other pixel as it is."""
LEAST_COVER = 0.05
"""Share of a box from which on another object covers it."""
COVER_BANDS = (0.0, 0.05, 0.2, 0.4, 1.0)
"""Limits of the share of a box that others cover."""
ENERGY_BANDS = (0.0, 0.05, 0.15, 0.3, 1.0)
"""Limits of the share of a map's energy on another object."""
KINDS = {
    **dict.fromkeys(("detector", "weights"), str),
    **dict.fromkeys(("image_id", "object", "label"), int),
    **dict.fromkeys(("score", "own"), float),
    **dict.fromkeys(("other", "other_label", "in_front"), int),
    **dict.fromkeys(("cover", "energy", "random", *CHANGES), float),
}
"""Columns, and what reads their text: of the detection its detector and the beginning of the hash of its weights, its
picture, object, label, score and the share of its class map on its own mask; of the other object its number, label,
whether it stands in front, the share of the detected box that it covers, the shares of the class map and of a random
map on it; and by which share of itself the score falls with each change."""


def draw_changes(scene: Scene) -> Tensor:
    """A scene's picture with each visible object changed, one at a time.

    Returns:
        ``Tensor[M, 3, 3, H, W]`` in [0, 1]: object, one of ``CHANGES``, picture.
    """
    rendered = render(scene)
    image, empty = to_tensor(rendered.image), to_tensor(render(replace(scene, objects=())).image)
    changed = []
    for one in rendered.instances:
        mask = torch.from_numpy(one.mask)
        removed = to_tensor(render(scene.without(one.index)).image)
        mean = image[:, mask].mean(dim=1)[:, None, None]
        changed.append(torch.stack([removed, *(torch.where(mask, paint, image) for paint in (empty, mean))]))
    return torch.stack(changed)


def judge_leaks(picture: Picture, changed: Tensor) -> Iterator[dict[str, str | int | float]]:
    """A row for each detection of a picture and each other object, without the columns that name the detector.

    Args:
        picture: of a scene, with N detections and M objects.
        changed: ``Tensor[M, 3, 3, H, W]``, see :func:`draw_changes`.
    """
    trace, found, masks = picture.trace, picture.detections, picture.target["masks"].to(picture.detections.boxes.device)
    labels = picture.target["labels"].tolist()
    falls = measure_influences(trace, found, changed.flatten(0, 1))[..., 0].unflatten(1, (len(masks), len(CHANGES)))
    energy, noise = (
        energy_inside(method(trace, found, ("class",)).to_image(), masks) for method in (ODAM(), RandomMap())
    )
    cover = energy_inside(box_regions(found.boxes, found.image_size).to(energy)[:, None], masks)
    for row, own in enumerate(picture.own.tolist()):
        for other in range(len(masks)):
            numbers = {
                "score": found.scores[row],
                "own": energy[row, own],
                "cover": cover[row, other],
                "energy": energy[row, other],
                "random": noise[row, other],
                **dict(zip(CHANGES, falls[row, other])),
            }
            names = {"image_id": int(picture.target["image_id"]), "object": own, "label": labels[own]}
            names |= {"other": other, "other_label": labels[other], "in_front": int(other > own)}
            if other != own:
                yield names | {name: float(f"{float(number):.3g}") for name, number in numbers.items()}


def read_rows(path: Path) -> pd.DataFrame:
    """The rows that :func:`main` wrote.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file holds something else, is damaged, or was made with other weights of a detector than those
            here.
    """
    rows = read_csv(path, "rows of leaks", "python -m odam_chapters.judging.leaks", KINDS)
    for name, weights in rows[["detector", "weights"]].drop_duplicates().itertuples(index=False):
        if weights != hash_of(name):
            raise ValueError(
                f"{path} was made with weights {weights} of {name}, and those here are {hash_of(name)}: make it again "
                "by python -m odam_chapters.judging.leaks."
            )
    return rows


def hash_of(detector: str) -> str:
    """The beginning of the hash of a bundled detector's weights."""
    return read_version(detector)["sha256"][:8]


def count_specific(rows: pd.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    """How many class maps have more energy on their own object than on any of some others, by how much these cover.

    Args:
        rows: of :func:`read_rows`, all or those of some other objects, such as those of the same class.

    Returns:
        (such maps, maps) by detector and ``COVER_BANDS`` of the share of the box that all these others cover together.
    """
    each = rows.groupby(["detector", "image_id", "object"], sort=False)
    maps = each.agg({"own": "first", "energy": "max", "cover": "sum"}).reset_index()
    maps["band"], maps["wins"] = name_bands(maps["cover"], COVER_BANDS), maps["own"] > maps["energy"]
    counted = maps.groupby(["detector", "band"], sort=False, observed=False)["wins"].agg(["sum", "size"])
    return {key: (int(wins), int(number)) for key, wins, number in counted.itertuples()}


def name_bands(shares: pd.Series, limits: Sequence[float]) -> pd.Series:
    """In which band each share lies, such as ``5-20 %``; the lower limit belongs to it."""
    names = [f"{100 * low:.0f}-{100 * high:.0f} %" for low, high in pairwise(limits)]
    return pd.cut(shares.clip(upper=limits[-1] - 1e-9), list(limits), right=False, labels=names)


def relate(rows: pd.DataFrame, change: str, energy: str = "energy") -> Estimate:
    """Does the score fall more where more of the map lies on the other object, among objects that cover as much?

    Args:
        rows: some of :func:`read_rows`.
        change: one of ``CHANGES``.
        energy: the column of the map's share.

    Returns:
        Spearman's rank correlation of the share with the score's fall, given the cover (the first-order partial
        correlation of the ranks), and its 95 % interval over pictures; NaN where it is undefined.
    """
    table = torch.tensor(rows[[energy, change, "cover"]].to_numpy(float))
    return Estimate(correlate_given(table), *bootstrap(correlate_given, table, picture_of(rows)))


def correlate_given(table: Tensor) -> float:
    """The rank correlation of the first two columns of ``Tensor[n, 3]``, given the third; NaN where it is undefined."""
    one, two, _ = torch.corrcoef(torch.from_numpy(rankdata(table.numpy(), axis=0)).T)
    scale = ((1 - one[2] ** 2) * (1 - two[2] ** 2)).sqrt()
    return float((one[1] - one[2] * two[2]) / scale)


def picture_of(rows: pd.DataFrame) -> Tensor:
    """The picture of each row, ``Tensor[n]``."""
    return torch.tensor(rows["image_id"].to_numpy(int))


def tabulate_falls(rows: pd.DataFrame) -> list[dict[str, str | float]]:
    """The mean fall of the score with each change by the share of the map on the other object, for ``show_intervals``.

    Args:
        rows: some of :func:`read_rows`.

    Returns:
        A line for each detector and band of ``ENERGY_BANDS`` (together ``method``) and each change (``metric``): ``n``,
        ``mean``, ``low`` and ``high`` of a 95 % interval over pictures.
    """
    lines: list[dict[str, str | float]] = []
    banded = rows.assign(band=name_bands(rows["energy"], ENERGY_BANDS))
    for (name, band), some in banded.groupby(["detector", "band"], sort=False, observed=False):
        for change in CHANGES:
            falls = torch.tensor(some[change].to_numpy(float))
            low, high = mean_interval(falls, picture_of(some))
            number = {"n": len(some), "mean": float(falls.mean()), "low": low, "high": high}
            lines.append({"method": f"{name}, {band}", "metric": change, **number})
    return lines


def show_leak(image: Tensor, detection: Detections, heat: Tensor, without: Tensor, scores: Sequence[float]) -> Figure:
    """A detection, its class map, and the picture with another object changed in each way, with the score in each.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detection: one row.
        heat: ``Tensor[H, W]``, its map.
        without: ``Tensor[3, 3, H, W]``, the picture after each of ``CHANGES``.
        scores: the score of the same prediction in each.
    """
    grid = PictureGrid(image, [""], 1 + len(without), 2.0)
    grid.draw(0, [grid.small, blend(grid.small, heat), *(resize(one, grid.size) for one in without)])
    for column in range(2 + len(without)):
        grid.draw_box(0, column, detection.boxes[0], 0)
    told = [f"other object {change}\nscore {score:.2f}" for change, score in zip(CHANGES, scores)]
    grid.finish(["class map", *told], f"Is this map wrong? The score was {float(detection.scores[0]):.2f}")
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
    parser.add_argument("--number", type=int, default=250, help="how many scenes")
    asked = parser.parse_args()
    scenes = Scenes("val", asked.number)
    rows: list[dict[str, str | int | float]] = []
    with files.owned(asked.output):
        detectors = [load_detector(name) for name in asked.detectors]
        for item in tqdm(range(len(scenes)), unit="scene"):
            changed = draw_changes(scenes.scene(item))
            for detector in detectors:
                picture = open_picture(detector, scenes, item, *scenes[item], layer="fpn")
                about: dict[str, str | int | float] = {"detector": detector.name, "weights": hash_of(detector.name)}
                rows += [about | row for row in judge_leaks(picture, changed)]
        files.write_rows(asked.output, rows, list(KINDS))


if __name__ == "__main__":
    main()
