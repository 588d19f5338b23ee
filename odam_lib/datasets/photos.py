"""The bundled photographs, annotated with COCO's classes; their source and licence are in ``data/photos/README.md``."""

from pathlib import Path

from torch import Tensor

from odam_lib.files import data_root
from odam_lib.images import load_image


def photo_names() -> tuple[str, ...]:
    """What the bundled photographs are called, in alphabetical order.

    Raises:
        FileNotFoundError: they are not there.
    """
    folder = _folder()
    if names := tuple(sorted(path.stem for path in folder.glob("*.jpg"))):
        return names
    raise FileNotFoundError(f"{folder} holds no photographs: {_RESTORE}")


def photo(name: str) -> Tensor:
    """A bundled photograph.

    Args:
        name: one of :func:`photo_names`, such as ``"dog"``.

    Returns:
        ``Tensor[3, H, W]``, float32 in [0, 1].

    Raises:
        TypeError: ``name`` is not a string.
        ValueError: there is no such photograph; lists those that there are.
        FileNotFoundError: there are none at all.
    """
    if not isinstance(name, str):
        raise TypeError(f"A photograph is asked for by its name, a str, not by {type(name).__name__}: see photo_names.")
    if name not in (names := photo_names()):
        raise ValueError(f"There is no bundled photograph {name!r}: choose one of {', '.join(names)}.")
    return load_image(_folder() / f"{name}.jpg")


def photo_annotations() -> Path:
    """The file of boxes and masks of every bundled photograph, in COCO's format and with COCO's categories.

    Raises:
        FileNotFoundError: it is not there.
    """
    path = _folder() / "annotations.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {_RESTORE}")
    return path


_RESTORE = "restore it from the repository (git checkout data/photos)."


def _folder() -> Path:
    return data_root() / "photos"
