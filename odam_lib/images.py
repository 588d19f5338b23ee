"""Pictures of any kind in, float RGB tensors out."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from odam_lib import checks


def load_image(path: str | Path, max_side: int | None = None) -> Tensor:
    """Read a picture as it is meant to be seen.

    EXIF rotation is applied, transparency is laid over white, grey and 16-bit pictures become RGB.

    Args:
        path: any file that Pillow reads.
        max_side: reduce the picture so that its longer side has at most this many pixels; ``None`` keeps its size.

    Returns:
        ``Tensor[3, H, W]``, float32 in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a picture, is damaged or has no pixels, or ``max_side`` is not positive.
    """
    path = Path(path)
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side is {max_side}: give a number of pixels of at least 1, or None.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no picture at {path}: check the path.")
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            picture.load()
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} cannot be read as a picture ({error}): give an undamaged JPEG, PNG or similar file."
        ) from error
    if picture.width == 0 or picture.height == 0:
        raise ValueError(f"{path} has no pixels ({picture.width} x {picture.height}): give another picture.")
    if max_side is not None and max(picture.size) > max_side:
        scale = max_side / max(picture.size)
        picture = _eight_bit(picture).resize(
            [max(1, round(side * scale)) for side in picture.size], Image.Resampling.BOX
        )
    return from_pil(picture)


def from_pil(picture: Image.Image) -> Tensor:
    """Convert a Pillow picture of any mode to ``Tensor[3, H, W]``, float32 in [0, 1]."""
    rgb = np.asarray(_eight_bit(picture), dtype=np.float32) / 255
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


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
        fixes = {
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


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        full_scale = 65535.0 if values.max(initial=0) > 255 or picture.mode.startswith("I;16") else 255.0
        grey = np.clip(values / full_scale * 255, 0, 255).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")
