"""Metrics without masks: the same numbers as with them, and those that need masks are named with the reason."""

from typing import Any

import pytest
import torch
from planted import BOXES, SIZE, PlantedDetector, planted_image
from torch import Tensor

from odam_lib.datasets.categories import relabel
from odam_lib.datasets.scenes import Scenes
from odam_lib.evaluation.judges import (
    JUDGES,
    BoxDiscrimination,
    BoxLocalization,
    Discrimination,
    Faithfulness,
    Localization,
    Picture,
    PlantedCauses,
    choose_judges,
)
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import evaluate
from odam_lib.evaluation.tables import select_metrics
from odam_lib.evaluation.verdicts import SEVEN
from odam_lib.explainers.controls import RandomMap
from odam_lib.heatmaps import ATTRIBUTES


class Boxes:
    """One planted picture, with or without masks and without saying which."""

    def __init__(self, masks: bool) -> None:
        self.masks = masks

    def __len__(self) -> int:
        return 1

    def __getitem__(self, item: int) -> tuple[Tensor, dict[str, Any]]:
        target: dict[str, Any] = {"boxes": torch.tensor(BOXES).float(), "labels": torch.arange(1, 5), "image_id": 3}
        if self.masks:
            target["masks"] = torch.zeros(4, *SIZE, dtype=torch.bool)
            for mask, (x1, y1, x2, y2) in zip(target["masks"], BOXES):
                mask[y1:y2, x1 : (x1 + x2) // 2] = True
        return planted_image(), target


def numbers(judges: Any, masks: bool) -> dict[str, Tensor]:
    detector, dataset = PlantedDetector(), Boxes(masks)
    image, target = dataset[0]
    trace = detector.trace(image)
    picture = Picture(dataset, 0, trace, target, trace.candidates, torch.arange(4))
    heat_maps = RandomMap(seed=1)(trace, trace.candidates, ATTRIBUTES)
    maps = heat_maps.select("class").normalized().to_image()[:, 0]
    return {name: value for judge in judges for name, value in judge(picture, maps, heat_maps).items()}


def test_by_boxes_the_numbers_are_those_with_masks() -> None:
    whole, boxes = (
        numbers((Localization(), Discrimination()), True),
        numbers((BoxLocalization(), BoxDiscrimination()), False),
    )
    assert list(boxes) == ["pointing box", "energy box", "compactness", "sparsity", "ODI box"]
    assert all(torch.equal(value, whole[name]) for name, value in boxes.items())
    by_mask = {*Localization.by_mask, *Discrimination.by_mask}
    assert {name for name in whole if "@" not in name} == by_mask | set(boxes)


def test_what_is_kept_of_stored_rows_does_not_change() -> None:
    assert [repr(judge) for judge in JUDGES] == [
        "Faithfulness(steps=6, seed=0, batch=8)",
        "SignedFaithfulness(steps=6, seed=0, batch=8)",
        "Localization()",
        "Discrimination()",
        "PlantedCauses()",
    ]
    assert [name for name in numbers((Localization(), Discrimination()), True) if "@" not in name] == [
        "VEA", "VEA best", "pointing box", "pointing mask", "energy box", "energy mask", "compactness", "sparsity",
        "ODI box", "ODI mask", "ODI box floor", "ODI mask floor",
    ]  # fmt: skip


def test_scenes_are_judged_by_everything() -> None:
    scenes = Scenes("val", 1)
    assert choose_judges(scenes) == (JUDGES, ())
    shifted = relabel(scenes, ("__background__", "dog", "person"))
    assert choose_judges(shifted) == (JUDGES, ())
    PlantedCauses().check(shifted)


@pytest.mark.parametrize("masks", [True, False])
def test_what_is_left_out_is_named_and_the_rest_runs(masks: bool) -> None:
    judges, told = choose_judges(Boxes(masks), [Faithfulness(1), Localization(), Discrimination(), PlantedCauses()])
    expected = (Localization(), Discrimination()) if masks else (BoxLocalization(), BoxDiscrimination())
    assert judges == (Faithfulness(1), *expected)
    assert told[-1] == "Left out: causes, all causes. Planted causes are known in generated scenes alone."
    found = evaluate(PlantedDetector(), Boxes(masks), {"noise": RandomMap()}, judges)
    assert len(found.rows) == 4 and select_metrics(found) == (
        ["deletion", "insertion", "VEA", "energy mask", "ODI mask", "compactness"]
        if masks
        else ["deletion", "insertion", "energy box", "ODI box", "compactness"]
    )
    if not masks:
        named = told[0].removeprefix("Left out: ").split(". They need a mask of every object: ")
        assert named[0].split(", ") == [*Localization.by_mask, *Discrimination.by_mask]
        assert named[1] == "the target of its first picture has none."
        assert not set(named[0].split(", ")) & set(found.metrics)


def test_a_data_set_says_itself_why_it_has_no_masks() -> None:
    dataset = Boxes(True)
    dataset.no_masks = "Annotation 4 of own.json is an object without a mask"
    judges, (told,) = choose_judges(dataset, (Localization(),))
    assert judges == (BoxLocalization(),) and told.endswith(f": {dataset.no_masks}.")


def test_measured_are_all_seven_of_rows_that_have_them() -> None:
    row = dict.fromkeys(["image_id", "object", "label", "iou", "score", "method", "seconds", *SEVEN, "energy box"], 1)
    assert tuple(select_metrics(Evaluation((row,), 1, 0))) == SEVEN
