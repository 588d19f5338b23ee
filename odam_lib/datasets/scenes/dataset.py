"""The data set of scenes, and its command line."""

import argparse

import torch
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.command import command
from odam_lib.datasets.pictures import Target
from odam_lib.datasets.scenes.compose import check_request, make_scene
from odam_lib.datasets.scenes.planting import make_distracted
from odam_lib.datasets.scenes.render import render
from odam_lib.datasets.scenes.values import CATEGORIES, DISTRACTORS, SETTINGS, Instance, Rendered, Scene
from odam_lib.files import output_folder
from odam_lib.kernels import checks

SPLITS = {"train": 0, "val": 10**9, "demo": 2 * 10**9, "distractors": 3 * 10**9}
"""First scene seed of each split; ``val`` and ``distractors`` are held out from every training."""
SCENES_A_SEED = 10**6


class Scenes(Dataset[tuple[Tensor, Target]]):
    """Scenes as torchvision's detection references take them, rendered when they are asked for.

    Items are ``(image, target)``: ``image`` float32 ``Tensor[3, H, W]`` in [0, 1]; ``target`` holds ``boxes``
    float32 ``[N, 4]`` (x1, y1, x2, y2), ``labels`` int64 ``[N]``, ``masks`` bool ``[N, H, W]`` of visible pixels, and
    ``image_id``, the scene's seed. Boxes enclose what is visible, as COCO's do; in a crowd they enclose the whole
    person, as CrowdHuman's do, even beyond the image.

    In each scene of the split ``distractors`` stands one thing that belongs to no class and invites a mistake about the
    object beside it. Targets there also hold ``distractor_masks`` bool ``[D, H, W]`` of its visible pixels,
    ``distractor_kinds`` int64 ``[D]``, indices into ``DISTRACTORS``, and ``distractor_victims`` int64 ``[D]``, the row
    of that object, -1 if nothing of it is seen; D is 1, and 0 without the distractor.

    Args:
        split: ``train``, ``val`` (held out), ``demo`` or ``distractors``: disjoint seeds.
        number: how many scenes.
        setting: ``street``, ``beach``, ``room``, ``crowd``, or ``None`` for a mixture of the first three; a crowd has
            no distractors.
        size: side, or (height, width), in pixels.
        seed: another seed gives other scenes of the same split.

    Raises:
        ValueError: which argument was wrong.
    """

    categories = CATEGORIES
    no_masks = ""

    def __init__(
        self,
        split: str = "train",
        number: int = 3000,
        setting: str | None = None,
        size: int | tuple[int, int] = 256,
        seed: int = 0,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
        if not 1 <= number <= SCENES_A_SEED:
            raise ValueError(f"The number of scenes is {number}: choose 1 to {SCENES_A_SEED}.")
        if not 0 <= seed < SPLITS["val"] // SCENES_A_SEED:
            raise ValueError(f"The seed is {seed}: choose 0 to {SPLITS['val'] // SCENES_A_SEED - 1}.")
        self.size = check_request(setting, size)
        self.distracted = split == "distractors"
        if self.distracted and setting == "crowd":
            raise ValueError("There are no distractors in a crowd: choose another setting or split.")
        self.number, self.setting = number, setting
        self.first = SPLITS[split] + seed * SCENES_A_SEED

    def __len__(self) -> int:
        return self.number

    def scene(self, item: int) -> Scene:
        """Scene number ``item`` as a value.

        Raises:
            TypeError: ``item`` is no whole number.
            IndexError: there is no such scene.
        """
        item = checks.count("The number of a scene", item, least=None)
        if not 0 <= item < self.number:
            raise IndexError(f"Scene {item} does not exist: there are {self.number}, counted from 0.")
        make = make_distracted if self.distracted else make_scene
        return make(self.first + item, self.setting, self.size)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        return self.item_of(self.scene(item))

    def without_distractors(self, item: int) -> tuple[Tensor, Target]:
        """Item number ``item`` rendered without its distractor: every pixel but those of it and its shadow is the same.

        Raises:
            IndexError: there is no such scene.
        """
        return self.item_of(self.scene(item).without_distractors())

    def label_of(self, one: Instance) -> int:
        """What these scenes' labels call an object: the index into CATEGORIES."""
        return one.label

    def item_of(self, scene: Scene) -> tuple[Tensor, Target]:
        """The item of a scene of this data set's size, perhaps one that was changed by :meth:`Scene.without`."""
        rendered = render(scene)
        instances = rendered.instances
        boxes = [one.box_full if self.setting == "crowd" else one.box_visible for one in instances]
        masks = [torch.from_numpy(one.mask) for one in instances]
        target: Target = {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor([self.label_of(one) for one in instances], dtype=torch.int64),
            "masks": torch.stack(masks) if masks else torch.zeros((0, *self.size), dtype=torch.bool),
            "image_id": scene.seed,
        }
        if self.distracted:
            target |= _distractors(rendered, self.size)
        return torch.from_numpy(rendered.image).permute(2, 0, 1).float() / 255, target


def _distractors(rendered: Rendered, size: tuple[int, int]) -> dict[str, Tensor]:
    rows: dict[int | None, int] = {one.index: row for row, one in enumerate(rendered.instances)}
    planted = rendered.distractors
    masks = [torch.from_numpy(one.mask) for one in planted]
    victims = [-1 if one.lures is None else rows.get(one.lures, -1) for one in planted]
    return {
        "distractor_masks": torch.stack(masks) if masks else torch.zeros((0, *size), dtype=torch.bool),
        "distractor_kinds": torch.tensor([DISTRACTORS.index(one.name) for one in planted], dtype=torch.int64),
        "distractor_victims": torch.tensor(victims, dtype=torch.int64),
    }


@command
def main() -> None:
    """Write generated scenes: ``images/*.png``, ``annotations.json`` (COCO) and, for a crowd, ``annotations.odgt``."""
    from odam_lib.datasets.scenes.export import export

    parser = argparse.ArgumentParser(
        prog="python -m odam_lib.datasets.scenes",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", help="folder to write to")
    parser.add_argument("--number", type=int, default=100, help="how many scenes")
    parser.add_argument(
        "--setting", choices=("mixed", *SETTINGS), default="mixed", help="mixed: street, beach and room"
    )
    parser.add_argument("--split", choices=tuple(SPLITS), default="train", help="val is held out from every training")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other scenes")
    parser.add_argument(
        "--size", type=int, nargs="+", default=[256], metavar="PIXELS", help="side, or height and width"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    if len(arguments.size) > 2:
        parser.error(f"--size takes one or two numbers, not {len(arguments.size)}")
    size = arguments.size[0] if len(arguments.size) == 1 else tuple(arguments.size)
    setting = None if arguments.setting == "mixed" else arguments.setting
    scenes = Scenes(arguments.split, arguments.number, setting, size, arguments.seed)
    written = export(scenes, output_folder(arguments.output), arguments.workers)
    print("wrote", *written)
