"""Some of the pictures of a data set."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.datasets.pictures import Outline, Target, check_item, outline


class Part(Dataset[tuple[Tensor, Target]]):
    """Some pictures of a data set, numbered anew.

    Args:
        dataset: items ``(image, target)``, with ``categories`` and ``no_masks``, which are those of the part.
        items: numbers of its pictures, in the order in which they are wanted.
    """

    def __init__(self, dataset: Any, items: Sequence[int]) -> None:
        self.dataset, self.items = dataset, items
        self.categories: tuple[str, ...] = dataset.categories
        self.no_masks: str = dataset.no_masks
        self.no_ignored: str = getattr(dataset, "no_ignored", "")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` of the part, as the data set has it.

        Raises:
            IndexError: there is no such picture.
        """
        check_item(item, len(self.items))
        return self.dataset[self.items[item]]

    def outline(self, item: int) -> Outline | None:
        """See :func:`~odam_lib.datasets.pictures.outline`."""
        check_item(item, len(self.items))
        return outline(self.dataset, self.items[item])
