"""What the paper says of DETR's attention (App. A.5.5), measured: one row an object, which ``verdicts`` judges.

``python -m odam_chapters.attention.claims --help`` makes the rows that are bundled under ``data/evaluation``.
"""

import argparse
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from odam_chapters.attention.attended import find_cells_in_box
from odam_chapters.attention.reading import (
    read_attention_cells,
    read_centre_attention,
    read_centre_cells,
    read_cross_attention,
    spread_cells,
)
from odam_chapters.in_boxes import measure_rim_energy
from odam_chapters.influence import measure_cell_effects, select_strongest
from odam_chapters.rows import read_records
from odam_lib.command import command
from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.detr import ENCODER
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.runs import open_picture
from odam_lib.explainers.odam import ODAM
from odam_lib.files import owned, user_path, write_rows
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import energy_inside

BAND = 0.15
"""Half the width of the band along a box's edge, as a share of the box's side: even energy has half of itself there."""
REMOVED = 0.05
"""Share of the cells that is set to zero."""
HIGH = 0.1
"""Share of the cells that a map ranks high."""


@dataclass(frozen=True)
class Looked:
    """A true object that DETR found, and what was measured of the maps of its detection.

    Attributes:
        scene, object: numbers of the scene and of the object in it.
        label: its class.
        score: of the detection, in [0, 1].
        rim_attention, rim_class, rim_edges, rim_control: share of energy within ``BAND`` of the box's edge: of the
            decoder's cross-attention, of ODAM's class map, the mean of ODAM's four edge maps, of cells that are alike
            in the box.
        near_attention, near_class, near_edges, near_control: the same as a share of the energy in the box and the band.
        outside_attention, outside_class, outside_control: share of energy outside the box: of the encoder's attention
            at the box's centre, of ODAM's class map, of a map that is alike everywhere.
        backbone_attention, backbone_class, backbone_control: share of the score that is lost without the cells of
            :func:`choose_cells`, of the backbone's features and the encoder's attention at the box's centre.
        encoder_attention, encoder_class, encoder_control: the same of the encoder's output and the cross-attention.
    """

    scene: int
    object: int
    label: str
    score: float
    rim_attention: float
    rim_class: float
    rim_edges: float
    rim_control: float
    near_attention: float
    near_class: float
    near_edges: float
    near_control: float
    outside_attention: float
    outside_class: float
    outside_control: float
    backbone_attention: float
    backbone_class: float
    backbone_control: float
    encoder_attention: float
    encoder_class: float
    encoder_control: float


def choose_cells(attended: Tensor, named: Tensor, generator: torch.Generator) -> Tensor:
    """The most attended cells that ODAM's map does not rank high, the reverse, and random cells that neither does.

    Of each kind ``REMOVED`` of all cells; high is what is among the ``HIGH`` largest.

    Args:
        attended, named: ``Tensor[h, w]``, non-negative, the attention and the map of the same cells.
        generator: on the CPU, of the random cells.

    Returns:
        bool ``Tensor[3, h, w]``.
    """
    high, number = (max(1, round(share * named.numel())) for share in (HIGH, REMOVED))
    by_attention, by_map = select_strongest(attended, high), select_strongest(named, high)
    noise = torch.rand(named.shape, generator=generator).to(named.device)
    ranked = (attended.masked_fill(by_map, -1), named.masked_fill(by_attention, -1))
    neither = noise.masked_fill(by_attention | by_map, -1)
    return torch.stack([select_strongest(one, number) for one in (*ranked, neither)])


def find_near(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """What lies in each of boxes ``[N, 4]`` or within ``BAND`` of it: bool ``Tensor[N, H, W]`` of (height, width)."""
    reach = BAND * (boxes[:, 2:] - boxes[:, :2])
    return box_regions(torch.cat([boxes[:, :2] - reach, boxes[:, 2:] + reach], dim=1), size)


def measure_near_rim(maps: Tensor, boxes: Tensor) -> Tensor:
    """Of the energy of maps ``[N, H, W]`` in and near their boxes the share along the edge: ``Tensor[N]``."""
    near = find_near(boxes, (maps.shape[-2], maps.shape[-1]))
    return measure_rim_energy(maps * near, boxes, BAND)


def measure_shares(trace: Trace, detections: Detections) -> dict[str, Tensor]:
    """Where the energy of attention and of ODAM's maps lies: all columns of :class:`Looked` that are shares of energy.

    Args:
        trace: a pass of a DETR.
        detections: N rows of it, one or more.

    Returns:
        ``Tensor[N]`` by the column's name, see :class:`Looked`.

    Raises:
        NoAttentionError: the detector has none.
    """
    boxes = detections.boxes
    size = (trace.features[0].shape[-2], trace.features[0].shape[-1])
    alike = torch.stack([find_cells_in_box(trace, detections[row], size) for row in range(len(detections))])
    maps = ODAM()(trace, detections, ATTRIBUTES).to_image()
    shown = {
        "attention": read_cross_attention(trace, detections)[:, None],
        "class": maps[:, :1],
        "edges": maps[:, 1:],
        "control": spread_cells(trace, alike.to(maps))[:, None],
    }
    inside, near = box_regions(boxes, detections.image_size)[:, None], find_near(boxes, detections.image_size)[:, None]
    columns = {
        f"{measure}_{kind}": measure_rim_energy(each * counted, boxes[:, None], BAND).mean(dim=1)
        for measure, counted in (("rim", torch.ones_like(near)), ("near", near))
        for kind, each in shown.items()
    }
    return columns | {
        "outside_attention": 1 - energy_inside(read_centre_attention(trace, detections), inside[:, 0]),
        "outside_class": 1 - energy_inside(maps[:, 0], inside[:, 0]),
        "outside_control": 1 - inside[:, 0].to(maps).mean(dim=(1, 2)),
    }


def measure_losses(
    detector: Detector, image: Tensor, trace: Trace, detections: Detections, attended: Tensor, seed: int
) -> Tensor:
    """The share of the score that is lost when the cells of :func:`choose_cells` are set to zero.

    Args:
        detector: what found the detections.
        image: ``Tensor[3, H, W]`` in [0, 1].
        trace: a pass on it, at the layer whose cells are meant.
        detections: N rows of it.
        attended: ``Tensor[N, h, w]``, attention to these cells.
        seed: of the random cells.

    Returns:
        ``Tensor[N, 3]``.
    """
    generator = torch.Generator().manual_seed(seed)
    named = [one[0] for one in ODAM()(trace, detections, ("class",)).maps]
    losses = [
        -measure_cell_effects(detector, image, trace, detections[row], choose_cells(*pair, generator))[:, 0]
        for row, pair in enumerate(zip(attended, named))
    ]
    return torch.stack(losses)


def look_at_scene(detector: Detector, scenes: Scenes, item: int, score_threshold: float = 0.5) -> list[Looked]:
    """Everything that is measured of the objects that a DETR finds in one scene.

    Args:
        detector: what looks.
        scenes: held out from its training.
        item: number of the scene; also the seed of the random cells, so that a scene alone gives the same rows.
        score_threshold: least score of a detection; it has an IoU of 0.5 or more with its object.

    Raises:
        NoAttentionError: the detector has no attention.
    """
    image, target = scenes[item]
    picture = open_picture(detector, scenes, item, image, target, 0.5, score_threshold)
    found = picture.detections
    if not len(found):
        return []
    columns = measure_shares(picture.trace, found)
    behind = detector.trace(image, ENCODER)
    for measure, trace, attended in (
        ("backbone", picture.trace, read_centre_cells(picture.trace, found)),
        ("encoder", behind, read_attention_cells(behind, found)),
    ):
        losses = measure_losses(detector, image, trace, found, attended, item)
        columns |= {
            f"{measure}_{name}": losses[:, place] for place, name in enumerate(("attention", "class", "control"))
        }
    return [
        Looked(item, own, name, *(float(f"{float(one[row]):.4f}") for one in (found.scores, *columns.values())))
        for row, (own, name) in enumerate(zip(picture.own.tolist(), found.names()))
    ]


def read_looked(path: Path) -> list[Looked]:
    """The rows that :func:`main` wrote.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file holds something else, or is damaged.
    """
    return read_records(path, "rows of DETR's claims", "python -m odam_chapters.attention.claims", Looked)


@command
def main() -> None:
    """Measure the paper's claims about DETR's attention on held-out scenes and write a row an object."""
    parser = argparse.ArgumentParser(
        prog="python -m odam_chapters.attention.claims",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=user_path, help="CSV of the rows, or .csv.gz")
    parser.add_argument("--detector", default="detr-scenes", help="a DETR, by its name of load_detector")
    parser.add_argument("--scenes", type=int, default=60, help="how many held-out scenes")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, mps")
    asked = parser.parse_args()
    scenes = Scenes("val", asked.scenes)
    with owned(asked.output):
        detector = load_detector(asked.detector, asked.device)
        items = tqdm(range(len(scenes)), desc=detector.name, unit="scene")
        rows = [one for item in items for one in look_at_scene(detector, scenes, item)]
        write_rows(asked.output, [asdict(one) for one in rows], [field.name for field in fields(Looked)])
    print(f"wrote {len(rows)} objects to {asked.output}")


if __name__ == "__main__":
    main()
