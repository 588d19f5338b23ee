"""The people of a data set, and what there is to be ignored: what rules of suppression are measured on."""

from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.categories import PEOPLE
from odam_lib.datasets.categories import relabel
from odam_lib.datasets.pictures import Target


class People(Dataset[tuple[Tensor, Target]]):
    """A data set without its objects of other classes.

    Items are ``(image, target)`` as of the data set; ``target`` holds ``boxes`` float32 ``[G, 4]`` of the people,
    ``labels`` int64 ``[G]``, all 1, ``ignored`` float32 ``[I, 4]``, where detections of people are neither right nor
    wrong, and ``image_id``.

    Args:
        dataset: as of :func:`~odam_lib.datasets.opening.open_dataset`.

    Raises:
        ValueError: it has no class ``person``, or cannot mark what is to be ignored.
    """

    categories = PEOPLE

    def __init__(self, dataset: Any) -> None:
        if reason := getattr(dataset, "no_ignored", ""):
            raise ValueError(
                f"{reason}, which measuring in crowds needs: give CrowdHuman's annotations, COCO's (iscrowd) or VOC's "
                "(difficult)."
            )
        self.dataset = relabel(dataset, PEOPLE)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and the people in it.

        Raises:
            IndexError: there is no such picture.
        """
        image, target = self.dataset[item]
        person = PEOPLE.index("person")
        kept = target["labels"] == person
        found = {"boxes": target["boxes"][kept], "labels": target["labels"][kept], "image_id": target["image_id"]}
        nothing = target["boxes"].new_zeros((0, 4))
        ignored = target["ignored"][target["ignored_labels"] == person] if "ignored" in target else nothing
        return image, found | {"ignored": ignored}
