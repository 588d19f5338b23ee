"""Names of classes, and data sets whose labels are made those of a detector."""

from collections.abc import Sequence
from reprlib import repr as shortened
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.categories import BACKGROUND, UNUSED
from odam_lib.datasets.pictures import Target


def add_background(names: Sequence[str], place: object) -> tuple[str, ...]:
    """Class names as detectors list them: the background first.

    Args:
        names: of the classes.
        place: where they are from, for the message.

    Raises:
        ValueError: there is no name, one is no text, or one stands for two classes.
    """
    if not names:
        raise ValueError(f"{place} has no categories: list the names of the classes.")
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f"{place} has the category {shortened(name)[:60]}, which is no name: give it one, as text."
            )
        if name in (*names[:number], BACKGROUND):
            raise ValueError(f"{place} has two categories of the name {name!r}: give each its own.")
    return (BACKGROUND, *names)


def relabel(dataset: Any, categories: Sequence[str]) -> Any:
    """A data set with its labels in a detector's numbering, matched by name.

    Classes that the detector does not know keep their objects, with labels after the detector's own, so that nothing
    it says is right about them and they still count as other objects.

    Args:
        dataset: items ``(image, target)`` with ``labels``, perhaps ``ignored_labels``, and ``categories`` whose index 0
            is the background.
        categories: the detector's, index 0 is the background.

    Returns:
        ``dataset`` itself where the numberings agree, else a :class:`Relabelled`.

    Raises:
        TypeError: the data set does not say what its labels mean.
        ValueError: they have no class in common; lists both.
    """
    if not hasattr(dataset, "categories"):
        raise TypeError(
            f"{type(dataset).__name__} has no categories: give the data set that attribute, the names of its labels, "
            "the background first."
        )
    if tuple(dataset.categories) == tuple(categories):
        return dataset
    return Relabelled(dataset, categories)


def check_numbering(dataset: Any, categories: Sequence[str]) -> None:
    """Refuse a data set whose labels mean something else to a detector; one that does not say what they mean passes.

    Raises:
        ValueError: the first label that differs.
    """
    given = getattr(dataset, "categories", categories)
    for label, (ours, theirs) in enumerate(zip(given, categories)):
        if ours != theirs:
            raise ValueError(
                f"The label {label} is {ours!r} in the data set and {theirs!r} to the detector: give "
                "relabel(dataset, detector.categories) of odam_lib.datasets.categories."
            )


def unknown_classes(dataset: Any) -> tuple[str, ...]:
    """The classes of a data set that :func:`relabel` returned which the detector does not know."""
    return dataset.unknown if isinstance(dataset, Relabelled) else ()


def original(dataset: Any) -> Any:
    """The data set that was given to :func:`relabel`."""
    return dataset.dataset if isinstance(dataset, Relabelled) else dataset


def renumbered(dataset: Any, target: Target) -> Target:
    """A target of :func:`original` in the numbering of a data set that :func:`relabel` returned."""
    return dataset.renumbered(target) if isinstance(dataset, Relabelled) else target


class Relabelled(Dataset[tuple[Tensor, Target]]):
    """What :func:`relabel` returns.

    Attributes:
        dataset: the one that was given.
        categories: the detector's, then :attr:`unknown`.
        unknown: classes that the detector does not know.
        no_masks: as of the one that was given; ``None`` if it does not say.
    """

    def __init__(self, dataset: Any, categories: Sequence[str]) -> None:
        names, known = _classes(dataset.categories), _classes(categories)
        if not set(names) & set(known):
            raise ValueError(
                f"The detector knows none of the data set's classes: it knows {', '.join(known)}; "
                f"the data set has {', '.join(names)}."
            )
        self.dataset = dataset
        self.unknown = tuple(name for name in names if name not in known)
        self.categories = (*categories, *self.unknown)
        self.no_masks: str | None = getattr(dataset, "no_masks", None)
        self._label_of = torch.tensor(
            [self.categories.index(name) if name in names else -1 for name in dataset.categories]
        )

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target.

        Raises:
            ValueError: a label outside the data set's categories.
        """
        image, target = self.dataset[item]
        return image, self.renumbered(target)

    def renumbered(self, target: Target) -> Target:
        """A target of the data set that was given, in the detector's numbering.

        Raises:
            ValueError: a label outside the data set's categories.
        """
        changed = {key: self._changed(target[key], target) for key in ("labels", "ignored_labels") if key in target}
        return target | changed

    def _changed(self, labels: Tensor, target: Target) -> Tensor:
        inside = (labels >= 0) & (labels < len(self._label_of))
        found = torch.where(inside, self._label_of[labels.clamp(0, len(self._label_of) - 1)], -1)
        if (found < 0).any():
            raise ValueError(
                f"Image {int(target['image_id'])} has an object of the label {int(labels[found < 0][0])}, which is "
                f"none of the data set's classes, 1 to {len(self._label_of) - 1}: mend the data set."
            )
        return found


def _classes(categories: Sequence[str]) -> list[str]:
    return [name for name in categories[1:] if name not in (BACKGROUND, UNUSED)]
