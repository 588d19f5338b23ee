"""Pictures that annotations refer to."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from odam_lib.images import from_pil

Target = dict[str, Tensor | int]


def refuse_missing(folder: Path, names: Sequence[str], kind: str) -> None:
    """Refuse a data set that has lost some of its files, instead of shrinking it.

    Args:
        folder: where they must be.
        names: file names.
        kind: what they are, in the plural, for the message.

    Raises:
        FileNotFoundError: how many are missing and which is the first.
    """
    present = {path.name for path in folder.iterdir()}
    if missing := [name for name in names if name not in present]:
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} {kind} are missing, the first is {folder / missing[0]}: "
            "unpack the official archive again."
        )


def stored_picture(path: Path, height: int, width: int) -> Tensor:
    """Read a picture as it is stored: annotations refer to the pixels before any EXIF rotation.

    Args:
        path: the file.
        height: that the annotation states, in pixels.
        width: likewise.

    Returns:
        ``Tensor[3, H, W]``, float32 in [0, 1].

    Raises:
        ValueError: it cannot be read, or has another size.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            image = from_pil(opened)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as a picture ({error}): unpack the official archive again.") from error
    if image.shape[1:] != (height, width):
        raise ValueError(
            f"{path} has {image.shape[2]} x {image.shape[1]} pixels, its annotation says {width} x {height}: "
            "unpack the official archive again."
        )
    return image
