"""Pictures of any kind in, float RGB tensors out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from odam_lib.files import user_path
from odam_lib.kernels import checks

FORMATS = (
    "JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF", "QOI", "ICO", "TGA",
)  # fmt: skip
"""What Pillow may take a file for, whatever its name: pictures of pixels alone, for it hands PostScript to another
program, and containers may hold PostScript."""
_BITS, _POLARITY = 258, 262  # TIFF's tags: of a sample, and whether 0 is white
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and its values that exchange width and height
_ADVICE = "give an undamaged JPEG, PNG or similar file"


def load_image(path: str | Path, max_side: int | None = None) -> Tensor:
    """Read a picture as it is meant to be seen.

    EXIF rotation is applied, transparency is laid over white, grey and 16-bit pictures become RGB. White is what the
    file says: the largest number of its bits, 1 for floating point numbers.

    Args:
        path: a file in one of :data:`FORMATS`; ``~`` is a home folder.
        max_side: reduce the picture so that its longer side has at most this many pixels; ``None`` keeps its size.

    Returns:
        ``Tensor[3, H, W]``, float32 in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: ``path`` is no path, or ``max_side`` no whole number.
        ValueError: the file is not a picture, is damaged or too large, or does not say what white is; or ``max_side``
            is not positive.
    """
    if max_side is not None:
        checks.count("max_side", max_side, otherwise=", or None")
    path = user_path(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no picture at {path}: check the path.")
    with picture_file(path, _ADVICE) as opened:
        return _pixels(_seen(opened, upright=True, max_side=max_side))


@contextmanager
def picture_file(path: Path, advice: str, size: tuple[int, int] | None = None) -> Iterator[Image.Image]:
    """A picture of which no more than the header has been read; it is decoded within the block.

    Args:
        path: an existing file.
        advice: what to do about a picture that is damaged or does not fit, for the message.
        size: (width, height) in pixels that it must have; ``None`` for any that Pillow does not take for an attack.

    Raises:
        ValueError: it cannot be opened or has another size; or whatever else goes wrong within the block. Names it.
    """
    Image.init()
    try:
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as opened:
            if size in (None, opened.size):
                yield opened
                return
            found = opened.size
    except Exception as error:  # what Pillow raises is what each format's parser stumbled on, of any type
        raise ValueError(
            f"{path} cannot be read as a picture ({str(error) or type(error).__name__}): {advice}."
        ) from error
    raise ValueError(f"{path} has {_by(found)} pixels, its annotation says {_by(size)}: {advice}.")


def measure_picture(
    path: Path, advice: str, size: tuple[int, int] | None = None, upright: bool = False
) -> tuple[int, int]:
    """The size of a picture that is whole, as a rule without decoding it.

    A JPEG or PNG whose header can be read and that ends as its format does was not cut off, and is believed: damage in
    between is noticed when it is decoded. Every other picture is decoded here, so is one whose numbers say what white
    is.

    Args:
        path, advice, size: as for :func:`picture_file`.
        upright: turn it as its EXIF tag says.

    Returns:
        Height and width in pixels.

    Raises:
        ValueError: it cannot be read, or has another size.
    """
    with picture_file(path, advice, size) as opened:
        if 0 in opened.size or _deep(opened) or _white(opened) is not None or not _ends(path, opened.format):
            decoded = _seen(opened, upright)
            decoded.load()
            return decoded.height, decoded.width
        # Not PNG's own, which decodes the picture to find a tag behind its pixels.
        lies = upright and Image.Image.getexif(opened).get(_ORIENTATION) in _LYING
        return opened.size if lies else (opened.height, opened.width)


def stored_picture(path: Path, height: int, width: int, advice: str) -> Tensor:
    """Read a picture as it is stored: annotations refer to the pixels before any EXIF rotation.

    Args:
        path: the file.
        height: that the annotation states, in pixels.
        width: likewise.
        advice: what to do if it does not fit.

    Returns:
        ``Tensor[3, H, W]``, float32 in [0, 1].

    Raises:
        ValueError: it cannot be read, or has another size.
    """
    with picture_file(path, advice, (width, height)) as opened:
        return from_pil(opened)


def from_pil(picture: Image.Image) -> Tensor:
    """Convert a Pillow picture of any mode to ``Tensor[3, H, W]``, float32 in [0, 1].

    White is what :func:`load_image` takes for it.

    Raises:
        ValueError: it has no pixels, or does not say what white is.
    """
    return _pixels(_seen(picture))


def to_uint8(image: Tensor) -> np.ndarray:
    """Convert ``Tensor[3, H, W]`` in [0, 1] to a uint8 array ``[H, W, 3]`` for display."""
    return (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def check_image(image: Tensor) -> None:
    """Refuse what is not a picture in torchvision's convention.

    Raises:
        TypeError: not a floating point tensor.
        ValueError: not ``[3, H, W]``, without pixels, or not finite in [0, 1].
    """
    if not isinstance(image, Tensor) or not image.is_floating_point():
        fixes: dict[Any, str] = {
            (str, Path): "load_image(path) reads a str or Path",
            Image.Image: "odam_lib.images.from_pil(image) makes one",
            np.ndarray: "torch.from_numpy(image).permute(2, 0, 1) / 255 makes one of [H, W, 3] in 0 to 255",
            Tensor: "image / 255 makes one of values in 0 to 255",
        }
        fix = next((f": {fix}" for kind, fix in fixes.items() if isinstance(image, kind)), "")
        raise TypeError(
            f"The image is {checks.told(image)}: give a float tensor [3, H, W] in [0, 1], as load_image returns{fix}."
        )
    if image.dim() != 3 or image.shape[0] != 3 or image.numel() == 0:
        batch, last = image.dim() == 4, image.dim() == 3 and image.shape[2] == 3
        fix = ": one picture of a batch, image[0]" if batch else ": image.permute(2, 0, 1)" if last else ""
        raise ValueError(f"The image has shape {list(image.shape)}: give [3, H, W] with at least one pixel{fix}.")
    low, high = image.aminmax()
    if not (low.isfinite() and high.isfinite()):  # NaN passes through both
        raise ValueError("The image has values that are NaN or infinite: replace them, and scale them to [0, 1].")
    if not (low >= 0 and high <= 1):
        raise ValueError(f"The image's values span [{low:g}, {high:g}]: scale them to [0, 1].")


def _ends(path: Path, kind: str | None) -> bool:
    """Whether the file of a picture ends as its format does; ``False`` of formats whose end nothing marks."""
    with path.open("rb") as file:
        if kind == "JPEG":
            file.seek(-2, os.SEEK_END)
            return file.read() == b"\xff\xd9"
        if kind != "PNG":
            return False
        file.seek(8)
        pixels = False
        while len(head := file.read(8)) == 8:
            if head[4:] == b"IEND":
                return len(file.read(4)) == 4
            if pixels and head[4:] != b"IDAT":  # what stands there may turn the picture
                return False
            pixels = head[4:] == b"IDAT"
            file.seek(4 + int.from_bytes(head[:4]), os.SEEK_CUR)
    return False


def _by(size: tuple[int, int] | None) -> str:
    return "any number of" if size is None else f"{size[0]} x {size[1]}"


def _pixels(picture: Image.Image) -> Tensor:
    """The values of an RGB picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div_(255)


def _seen(stored: Image.Image, upright: bool = False, max_side: int | None = None) -> Image.Image:
    """An RGB picture of one that may not have been decoded yet."""
    # Asked before decoding, which forgets how the file was coded.
    deep, white, inverted = _deep(stored), _white(stored), getattr(stored, "tag_v2", {}).get(_POLARITY) == 0
    picture = ImageOps.exif_transpose(stored) if upright else stored
    if 0 in picture.size:
        raise ValueError(f"it has no pixels, {_by(picture.size)}")
    if white is not None:
        picture = _scaled(picture, white, inverted)
    elif deep and _highest(picture) <= 16:  # of 255: Pillow keeps the upper 8 bits, some formats rounded
        raise ValueError(_faint(65535))
    elif picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    if max_side is not None and max(picture.size) > max_side:
        scale = max_side / max(picture.size)
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BOX)
    return picture


def _white(stored: Image.Image) -> float | None:
    """The number of white in a grey picture that has more of them than a byte; ``None`` for every other picture."""
    if stored.mode == "F":
        return 1.0
    if stored.mode.startswith("I;16"):
        return 2.0 ** getattr(stored, "tag_v2", {}).get(_BITS, (16,))[0] - 1
    if stored.mode != "I":
        return None
    if stored.format in ("PNG", "PPM"):  # of 16 bits
        return 65535.0
    raise ValueError("it has integers with a sign or of 32 bits, of which nothing says which one is white")


def _deep(stored: Image.Image) -> bool:
    """Whether the file has 16 bits for each colour."""
    codes = [str(tile[3]) for tile in getattr(stored, "tile", ())]
    if stored.format == "PPM":
        return any("65535" in code for code in codes)
    return any(";16" in code and "BGR" not in code for code in codes)  # BGR;16 has 16 bits for all three


def _highest(picture: Image.Image) -> float:
    """The largest value of any channel but transparency."""
    ranges: list[Any] = [
        channel.getextrema() for channel, name in zip(picture.split(), picture.getbands()) if name != "A"
    ]
    return max(high for _, high in ranges)


def _faint(white: float) -> str:
    # Numbers of 8, 10 or 12 bits in a file of 16: what it says makes them black, and what was meant it does not say.
    return f"none of its numbers reaches a sixteenth of {white:g}, the white of its bits: scale those of fewer bits"


def _scaled(picture: Image.Image, white: float, inverted: bool) -> Image.Image:
    """A grey picture in bytes."""
    values = np.asarray(picture).astype(np.float32)
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("it has numbers that are not finite")
    if low < 0 or high > white:
        raise ValueError(f"its numbers span [{low:g}, {high:g}], and white is {white:g}: scale them to [0, {white:g}]")
    if white > 1 and 0 < high <= white / 16:
        raise ValueError(_faint(white))
    transparent = values == picture.info.get("transparency", -1)
    grey = (values * np.float32(255 / white)).round().astype(np.uint8)
    if inverted:
        grey = 255 - grey
    grey[transparent] = 255
    return Image.fromarray(grey)
