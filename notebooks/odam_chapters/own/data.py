"""A reader's own pictures."""

from typing import Any

import torch

from odam_chapters.data import open_data


def open_pictures(kind: str, number: int, seed: int, root: str = "", annotations: str = "") -> tuple[Any, list[int]]:
    """Own pictures, and which of them to take: at random, and no more than there are.

    Args:
        kind: format or path of the data, see :func:`~odam_lib.datasets.opening.open_dataset`.
        number: how many pictures at most, 1 or more.
        seed: random seed of the choice.
        root, annotations: where they lie; a relative path starts at the repository, an empty one is left to the format.

    Raises:
        FileNotFoundError: it is not there; says how to get it.
        ValueError: it is no such data.
    """
    dataset = open_data(kind, root, annotations)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    return dataset, order[:number].tolist()
