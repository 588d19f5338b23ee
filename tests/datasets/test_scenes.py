"""The scene generator: a scene is a value, its annotations are exact, its crowds overlap as CrowdHuman's do."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from torchvision.ops import box_iou

from odam_lib.datasets.scenes import CATEGORIES, SETTINGS, Scene, Scenes, make_scene, render
from odam_lib.datasets.scenes.export import export
from odam_lib.datasets.scenes.render import shadow_mask
from odam_lib.files import data_root


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_same_seed_is_the_same_picture_and_another_is_another(setting: str) -> None:
    first, again, other = (render(make_scene(seed, setting, 96)).image for seed in (5, 5, 6))
    assert (first == again).all()
    assert np.abs(first.astype(int) - other).mean() > 5


@pytest.mark.parametrize("seed", range(6))
def test_removing_an_object_changes_nothing_but_the_object_and_its_shadow(seed: int) -> None:
    scene = make_scene(seed)
    whole = render(scene)
    chosen = whole.instances[seed % len(whole.instances)]
    without = render(scene.without(chosen.index))
    changed = (whole.image != without.image).any(axis=2)
    allowed = grown(silhouette(scene, chosen.index)) | shadow_mask(scene, chosen.index)
    assert changed[chosen.mask].mean() > 0.5
    assert not (changed & ~allowed).any()
    assert chosen.index not in [one.index for one in without.instances]


@pytest.mark.parametrize("seed", range(6))
def test_removing_a_part_changes_nothing_but_the_part(seed: int) -> None:
    scene = make_scene(seed)
    whole = render(scene)
    chosen = whole.instances[-1]
    part = list(chosen.parts)[seed % len(chosen.parts)]
    without = render(scene.without(chosen.index, part))
    changed = (whole.image != without.image).any(axis=2)
    assert changed.any()
    assert not (changed & ~grown(silhouette(scene, chosen.index, part))).any()
    rest = next(one for one in without.instances if one.index == chosen.index)
    assert part not in rest.parts


def silhouette(scene: Scene, index: int, part: str | None = None) -> np.ndarray:
    """Where an object or one of its parts would be seen with nothing in front of it."""
    item = scene.get(index)
    others = frozenset(name for name in item.figure.parts if part not in (None, name))
    alone = render(replace(scene, objects=(replace(item, removed=others),)))
    return alone.instances[0].mask


def grown(mask: np.ndarray) -> np.ndarray:
    """One pixel more on each side: anti-aliasing mixes neighbours."""
    padded = np.pad(mask, 2)
    shifts = [np.roll(padded, (dy, dx), axis=(0, 1)) for dy in (-2, -1, 0, 1, 2) for dx in (-2, -1, 0, 1, 2)]
    return np.logical_or.reduce(shifts)[2:-2, 2:-2]


@pytest.mark.parametrize(
    ("setting", "size"), [(None, 256), ("crowd", 256), ("beach", (150, 301)), ("room", (301, 150))]
)
def test_masks_parts_and_boxes_belong_together(setting: str | None, size: int | tuple[int, int]) -> None:
    for seed in range(5):
        rendered = render(make_scene(seed, setting, size))
        assert sum(one.mask.astype(int) for one in rendered.instances).max() <= 1
        for one in rendered.instances:
            parts = sum(part.astype(int) for part in one.parts.values())
            assert (parts == one.mask).all()
            rows, columns = np.nonzero(one.mask)
            assert one.box_visible == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            height, width = one.mask.shape
            assert one.box_full[0] <= one.box_visible[0] + 1 and one.box_full[1] <= one.box_visible[1] + 1
            assert min(one.box_full[2], width) >= one.box_visible[2] - 1
            assert min(one.box_full[3], height) >= one.box_visible[3] - 1
            assert one.label == CATEGORIES.index(one.name) and one.visible_fraction >= 0.25
            assert (one.box_head is not None) == (one.name == "person")


def test_another_size_is_the_same_composition() -> None:
    small, large = (render(make_scene(3, "street", size)) for size in (128, 384))
    assert [one.name for one in small.instances] == [one.name for one in large.instances]
    for ours, theirs in zip(small.instances, large.instances):
        np.testing.assert_allclose(np.array(ours.box_full) * 3, theirs.box_full, atol=1e-3)


def test_what_is_nearer_is_drawn_larger_and_in_front() -> None:
    rendered = render(make_scene(0, "crowd"))
    depths = [one.depth for one in rendered.instances]
    assert depths == sorted(depths, reverse=True)
    heights = [one.box_full[3] - one.box_full[1] for one in rendered.instances]
    assert np.corrcoef(depths, heights)[0, 1] < -0.7


def test_classes_are_balanced_and_repeat_within_pictures() -> None:
    scenes = [Counter(one.name for one in make_scene(seed).objects) for seed in range(100)]
    total = sum(scenes, Counter())
    shares = {name: total[name] / total.total() for name in CATEGORIES[1:]}
    assert min(shares.values()) >= 0.06 and shares["person"] <= 0.35
    assert np.mean([max(scene.values()) > 1 for scene in scenes]) >= 0.5


def test_crowds_overlap_as_crowdhumans() -> None:
    counts, pairs = [], []
    for seed in range(60):
        boxes = torch.tensor([one.box(256) for one in make_scene(seed, "crowd").objects])
        counts.append(len(boxes))
        pairs.append(int((box_iou(boxes, boxes).triu(1) > 0.5).sum()))
    assert min(counts) >= 10 and max(counts) <= 30
    assert 2.1 <= np.mean(pairs) <= 2.7


def test_dataset_items_are_torchvisions_targets_and_splits_are_disjoint() -> None:
    train, held_out = Scenes("train", 4, size=64), Scenes("val", 4, size=64)
    image, target = train[1]
    assert image.shape == (3, 64, 64) and image.dtype == torch.float32 and image.min() >= 0 and image.max() <= 1
    assert target["masks"].shape == (len(target["labels"]), 64, 64)
    assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all()
    assert {train[i][1]["image_id"] for i in range(4)}.isdisjoint(held_out[i][1]["image_id"] for i in range(4))
    with pytest.raises(IndexError, match="Scene 4 does not exist"):
        train[4]


def test_coco_and_odgt_files_say_what_was_rendered(tmp_path) -> None:
    scenes = Scenes("demo", 3, "crowd", 128)
    export(scenes, tmp_path, workers=0)
    coco = COCO(tmp_path / "annotations.json")
    lines = [json.loads(line) for line in (tmp_path / "annotations.odgt").read_text(encoding="utf-8").splitlines()]
    for item, (image_id, line) in enumerate(zip(coco.getImgIds(), lines)):
        rendered = render(scenes.scene(item))
        record = coco.loadImgs(image_id)[0]
        assert (np.asarray(Image.open(tmp_path / "images" / record["file_name"])) == rendered.image).all()
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        assert len(annotations) == len(rendered.instances) == len(line["gtboxes"])
        for annotation, one, person in zip(annotations, rendered.instances, line["gtboxes"]):
            assert (coco.annToMask(annotation) == one.mask).all()
            assert sorted(annotation["parts"]) == sorted(one.parts)
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width, y + height) == one.box_visible
            np.testing.assert_allclose(person["fbox"][:2], one.box_full[:2], atol=0.51)
            assert person["tag"] == "person" and len(person["hbox"]) == len(person["vbox"]) == 4


def test_exported_scenes_are_replaced_and_another_data_set_is_not(tmp_path) -> None:
    export(Scenes("demo", 2, "crowd", 64), tmp_path, workers=0)

    class Stopped(Scenes):
        def scene(self, item: int):
            if item == 1:
                raise KeyboardInterrupt
            return super().scene(item)

    with pytest.raises(KeyboardInterrupt):  # no annotations of other scenes beside the first of the new pictures
        export(Stopped("demo", 2, "beach", 64), tmp_path, workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    export(Scenes("demo", 1, "beach", 64), tmp_path, workers=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations.json", "images"]
    for text in ('{"images": []}', "[]", "no JSON"):
        (tmp_path / "annotations.json").write_text(text, encoding="utf-8")
        with pytest.raises(
            FileExistsError, match=r"annotations\.json is of another data set .*: choose another folder"
        ):
            export(Scenes("demo", 1, "beach", 64), tmp_path, workers=0)
        assert (tmp_path / "annotations.json").read_text(encoding="utf-8") == text


def test_the_bundled_sample_is_what_the_generator_draws_today() -> None:
    for folder, setting in (("mixed", None), ("crowd", "crowd")):
        coco = json.loads((data_root() / "scenes" / folder / "annotations.json").read_text(encoding="utf-8"))
        assert len(coco["images"]) >= 4
        scenes = Scenes("demo", len(coco["images"]), setting)
        for item, record in enumerate(coco["images"]):
            assert record["seed"] == scenes.scene(item).seed
            bundled = Image.open(data_root() / "scenes" / folder / "images" / record["file_name"])
            drawn = render(scenes.scene(item)).image
            assert np.abs(np.asarray(bundled).astype(int) - drawn).mean() < 2
    size = sum(path.stat().st_size for path in (data_root() / "scenes").rglob("*") if path.is_file())
    assert size < 3_000_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"setting": "forest"}, "unknown setting 'forest'"),
        ({"size": 16}, "at least 32 pixels"),
        ({"number": 0}, "number of scenes is 0"),
        ({"split": "test"}, "Unknown split 'test'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_requests_are_refused(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Scenes(**arguments)


def test_unknown_objects_and_parts_are_refused() -> None:
    scene = make_scene(0)
    with pytest.raises(IndexError, match="no object 99"):
        scene.without(99)
    with pytest.raises(ValueError, match="no part 'propeller'; its parts are"):
        scene.without(0, "propeller")
