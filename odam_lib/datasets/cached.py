"""A data set drawn or decoded once, then read from memory-mapped tensors."""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from odam_lib.datasets.pictures import Examples, Target
from odam_lib.datasets.targets import check_picture
from odam_lib.files import owned
from odam_lib.sealed import load_sealed, save_sealed

KEPT = ("images", "boxes", "labels", "counts", "image_ids")
"""What the file holds."""


class Cached(Dataset[tuple[Tensor, Target]]):
    """Another data set's images, boxes and labels, kept in one file as bytes and plain tensors.

    Args:
        dataset: items ``(image [3, H, W] in [0, 1], target)``, all images of one size.
        path: the file; it is made if it is missing. Its name must identify the data set.
        workers: processes that fill it.

    Raises:
        ValueError: the file is damaged, or holds another number of items.
        OSError: it cannot be read, or is missing and cannot be written, see :func:`~odam_lib.files.owned`.
    """

    def __init__(self, dataset: Examples, path: Path, workers: int = 2) -> None:
        if not path.exists():
            with owned(path):
                if not path.exists():
                    _fill(dataset, path, workers)
        content = load_sealed(path, KEPT, mapped=True)
        if len(content["counts"]) != len(dataset):
            raise ValueError(
                f"{path} holds {len(content['counts'])} items, the data set has {len(dataset)}: delete it."
            )
        self._images, self._image_ids = content["images"], content["image_ids"].tolist()
        self._boxes = content["boxes"].split(content["counts"].tolist())
        self._labels = content["labels"].split(content["counts"].tolist())

    def __len__(self) -> int:
        return len(self._image_ids)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        target: Target = {"boxes": self._boxes[item], "labels": self._labels[item], "image_id": self._image_ids[item]}
        return self._images[item].float() / 255, target


def _fill(dataset: Examples, path: Path, workers: int) -> None:
    loader = DataLoader(_Bytes(dataset), batch_size=None, num_workers=workers)
    items = list(tqdm(loader, desc=f"drawing {path.stem}", unit="image"))
    content = {
        "images": torch.stack([item["image"] for item in items]),
        "boxes": torch.cat([item["boxes"] for item in items]),
        "labels": torch.cat([item["labels"] for item in items]),
        "counts": torch.tensor([len(item["labels"]) for item in items]),
        "image_ids": torch.tensor([item["image_id"] for item in items]),
    }
    save_sealed(content, path)


class _Bytes(Dataset[dict[str, Tensor | int]]):
    """Items with the image as bytes, a quarter of what goes between processes."""

    def __init__(self, dataset: Examples) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> dict[str, Tensor | int]:
        image, target = self.dataset[item]
        check_picture(image, f"Picture {target['image_id']}")  # bytes would hide what is out of range
        kept = {name: target[name] for name in ("boxes", "labels", "image_id")}
        return {"image": (image * 255).round().to(torch.uint8), **kept}
