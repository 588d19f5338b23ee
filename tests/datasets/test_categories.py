"""Labels in a detector's numbering: matched by name, with nothing dropped that the detector does not know."""

from typing import Any

import pytest
import torch
from torch import Tensor

from odam_lib.datasets.categories import Relabelled, check_numbering, original, relabel, unknown_classes
from odam_lib.datasets.coco import CATEGORIES as COCO
from odam_lib.datasets.scenes import Scenes


class Own:
    """Two pictures of cows and ploughs, the second with a label as given."""

    categories = ("__background__", "cow", "plough", "dog", "tractor")
    no_masks = "nobody drew them"

    def __init__(self, last: int = 4) -> None:
        self.last = last

    def __len__(self) -> int:
        return 2

    def __getitem__(self, item: int) -> tuple[Tensor, dict[str, Any]]:
        labels = torch.tensor([1, 2, 3] if item == 0 else [self.last])
        boxes = torch.zeros(len(labels), 4)
        return torch.zeros(3, 4, 4), {"boxes": boxes, "labels": labels, "image_id": 20 + item,
                                      "ignored": boxes[:1], "ignored_labels": labels[:1]}  # fmt: skip


KNOWN = ("__background__", "person", "N/A", "dog", "N/A", "cow")


def test_labels_are_matched_by_name_and_unknown_classes_come_after() -> None:
    own = Own()
    dataset = relabel(own, KNOWN)
    assert dataset.categories == (*KNOWN, "plough", "tractor") and unknown_classes(dataset) == ("plough", "tractor")
    assert [dataset[item][1]["labels"].tolist() for item in range(2)] == [[5, 6, 3], [7]]
    assert dataset[0][1]["ignored_labels"].tolist() == [5] and dataset[1][1]["image_id"] == 21
    assert own[0][1]["labels"].tolist() == [1, 2, 3]
    assert len(dataset) == 2 and dataset.no_masks == own.no_masks and original(dataset) is own is original(own)


def test_the_same_numbering_leaves_a_data_set_as_it_is() -> None:
    own, scenes = Own(), Scenes("val", 1)
    assert relabel(own, list(Own.categories)) is own and relabel(scenes, scenes.categories) is scenes
    assert unknown_classes(own) == ()


def test_labels_of_coco_survive_there_and_back() -> None:
    names = tuple(name for name in COCO if name != "N/A")
    there = Own()
    there.categories = names
    back = relabel(relabel(there, COCO), names)
    assert isinstance(back, Relabelled) and back.unknown == () and back[0][1]["labels"].tolist() == [1, 2, 3]
    assert [COCO[label] for label in relabel(there, COCO)[1][1]["labels"]] == [names[4]]


@pytest.mark.parametrize("label", [0, -1, 5])
def test_a_label_outside_the_categories_is_refused_with_its_picture(label: int) -> None:
    dataset = relabel(Own(label), KNOWN)
    with pytest.raises(ValueError, match=f"Image 21 has an object of the label {label}, which is none of .* 1 to 4"):
        dataset[1]


def test_no_class_in_common_is_refused_with_both_lists() -> None:
    known = ("__background__", "person", "N/A", "Cow")
    with pytest.raises(ValueError, match="it knows person, Cow; the data set has cow, plough, dog, tractor"):
        relabel(Own(), known)


def test_a_data_set_that_does_not_say_what_its_labels_mean_is_refused() -> None:
    with pytest.raises(TypeError, match="list has no categories: give the data set that attribute"):
        relabel([], KNOWN)


def test_another_numbering_is_noticed() -> None:
    with pytest.raises(
        ValueError, match="The label 1 is 'cow' in the data set and 'person' to the detector: give relabel"
    ):
        check_numbering(Own(), KNOWN)
    for dataset in (relabel(Own(), KNOWN), Scenes("val", 1, "crowd"), []):
        check_numbering(dataset, Scenes.categories[:2] if isinstance(dataset, Scenes) else KNOWN)
